// Command approve answers an interrupt of a thread, whichever language its graph is written in.
//
//	approve [-server HOST:PORT] [-tenant NAME] [-id INTERRUPT] THREAD            shows what the thread waits with
//	approve [-server HOST:PORT] [-tenant NAME] [-id INTERRUPT] THREAD ANSWER     answers it; ANSWER is JSON
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	checkpointd "checkpointd"
	"checkpointd/portable"
)

func main() {
	server := flag.String("server", checkpointd.DefaultTarget, "where the server is")
	tenant := flag.String("tenant", "default", "whose thread it is")
	id := flag.String("id", "", "the interrupt to answer; needed when several wait")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *server, *tenant, *id, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "approve:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, server, tenant, id string, arguments []string) error {
	if len(arguments) != 1 && len(arguments) != 2 {
		return fmt.Errorf("usage: approve [-server HOST:PORT] [-tenant NAME] [-id INTERRUPT] THREAD [ANSWER]")
	}
	client, err := checkpointd.New(server, checkpointd.WithTenant(tenant))
	if err != nil {
		return err
	}
	defer client.Close()
	thread := arguments[0]
	waiting, err := client.Interrupts(ctx, thread)
	if err != nil {
		return err
	}
	for _, one := range waiting {
		question, err := portable.Encode(one.Value)
		if err != nil {
			return err
		}
		fmt.Printf("%s  %s\n", one.ID, question)
	}
	if len(arguments) == 1 {
		return nil
	}
	answer, err := portable.Decode([]byte(arguments[1]))
	if err != nil {
		return fmt.Errorf("the answer %q: %w", arguments[1], err)
	}
	return client.Answer(ctx, thread, id, answer)
}

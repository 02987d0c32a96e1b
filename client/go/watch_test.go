package checkpointd_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	checkpointd "checkpointd"
	v1 "checkpointd/checkpointdv1"
)

// A watch goes on over restarts of its server, whatever is committed meanwhile.
func TestAWatchHasNoGapAndNoDuplicate(t *testing.T) {
	home := t.TempDir()
	server, err := startServer(home)
	if err != nil {
		t.Fatal(err)
	}
	listen := server.address
	client := clientOf(t, listen)
	request := &v1.WatchRequest{ThreadId: "t"}
	request.Token, err = client.WatchToken(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string)
	go func() {
		defer close(told)
		for event, err := range client.Watch(within(t, time.Minute), request) {
			if err != nil {
				t.Error(err)
				return
			}
			told <- event.GetCheckpointId()
			if event.GetCheckpointId() == "4" {
				return
			}
		}
	}()
	var found []string
	for round := range 2 {
		mustPut(t, client, "t", fmt.Sprint(2*round), "", 1)
		found = append(found, <-told)
		if round == 0 {
			server.stop()
		} else {
			_ = server.Process.Kill()
			_ = server.Wait()
		}
		if server, err = startServer(home, "--listen", listen); err != nil {
			t.Fatal(err)
		}
		mustPut(t, client, "t", fmt.Sprint(2*round+1), "", 1)
	}
	mustPut(t, client, "t", "4", "", 1)
	for id := range told {
		found = append(found, id)
	}
	server.stop()
	if !slices.Equal(found, []string{"0", "1", "2", "3", "4"}) {
		t.Error(found)
	}
}

func TestWhatIsNoWatchIsRefused(t *testing.T) {
	client, _ := newClient(t)
	for _, err := range client.Watch(t.Context(), &v1.WatchRequest{Token: "forged"}) {
		if !errors.Is(err, checkpointd.ErrInvalidRequest) {
			t.Error(err)
		}
	}
	if _, err := client.WaitFor(t.Context(), "t", 0, "surprised"); !errors.Is(err, checkpointd.ErrInvalidRequest) {
		t.Error(err)
	}
}

func TestWaitingForAGraph(t *testing.T) {
	client, tenant := newClient(t)
	ctx := within(t, time.Minute)
	come := make(chan string)
	wait := func(after uint64, until ...string) {
		go func() {
			status, err := client.WaitFor(ctx, "t", after, until...)
			if err != nil {
				t.Error(err)
			}
			come <- status
		}()
	}
	wait(0) // of a thread that is not there yet
	python(t, tenant, "one", "t", "begin")
	if status := <-come; status != checkpointd.Interrupted {
		t.Error(status)
	}
	found, err := client.Threads.GetThread(ctx, &v1.GetThreadRequest{ThreadId: "t"})
	if err != nil {
		t.Fatal(err)
	}
	wait(found.GetThread().GetSequence(), checkpointd.Finished)
	if err := client.Answer(ctx, "t", "", true); err != nil {
		t.Fatal(err)
	}
	python(t, tenant, "one", "t")
	if status := <-come; status != checkpointd.Finished {
		t.Error(status)
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := client.WaitFor(short, "t", 0, checkpointd.Failed); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

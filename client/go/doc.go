// Package checkpointd reads, answers and changes the threads of graphs that a checkpointd server keeps, whatever language
// the graphs are written in.
//
//	client, err := checkpointd.New("127.0.0.1:50051", checkpointd.WithTenant("team-a"))
//	if err != nil { ... }
//	defer client.Close()
//
//	waiting, err := client.Interrupts(ctx, "thread-8")
//	err = client.Answer(ctx, "thread-8", waiting[0].ID, true)
//
// The fields Checkpoints, Threads, States and Leases have all calls of the contract, with its messages (checkpointdv1).
// Their values are serialised; package portable reads and writes them. A call that fails because the server is not there is
// repeated within the timeout, and what is repeated is carried out once. All errors are an *Error, which errors.Is
// compares with ErrNotFound and its like.
package checkpointd

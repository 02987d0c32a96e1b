package checkpointd_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	checkpointd "checkpointd"
	v1 "checkpointd/checkpointdv1"
	"checkpointd/portable"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// put stores a checkpoint with one channel.
func put(t *testing.T, client *checkpointd.Client, thread, id, parent string, value any, when ...*v1.Precondition) error {
	t.Helper()
	stored, err := portable.EncodeValue(value)
	if err != nil {
		t.Fatal(err)
	}
	request := &v1.PutCheckpointRequest{ThreadId: thread, Put: &v1.CheckpointPut{
		ParentCheckpointId: parent,
		Checkpoint: &v1.Checkpoint{
			Id: id, V: 4, Ts: "2026-11-26T00:00:00+00:00",
			ChannelVersions: map[string]string{"x": id},
			ChannelValues:   map[string]*v1.Value{"x": stored},
		},
		Metadata: &v1.Metadata{Json: `{"source":"loop"}`},
	}}
	if len(when) > 0 {
		request.Precondition = when[0]
	}
	_, err = client.Checkpoints.PutCheckpoint(t.Context(), request)
	return err
}

func mustPut(t *testing.T, client *checkpointd.Client, thread, id, parent string, value any) {
	t.Helper()
	if err := put(t, client, thread, id, parent, value); err != nil {
		t.Fatal(err)
	}
}

func TestAValueComesBack(t *testing.T) {
	client, _ := newClient(t)
	when := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	for id, value := range map[string]any{
		"a": when, "b": []byte{0, 255}, "c": nil,
		"d": portable.Opaque{Encoding: "msgpack", Data: []byte{0x80}},
		"e": portable.Opaque{Encoding: "portable-json/2", Data: []byte("{")},
	} {
		mustPut(t, client, "t", id, "", value)
		found, err := client.Checkpoints.GetCheckpoint(t.Context(), &v1.GetCheckpointRequest{ThreadId: "t", CheckpointId: id})
		if err != nil {
			t.Fatal(err)
		}
		again, err := portable.DecodeValue(found.GetCheckpointTuple().GetCheckpoint().GetChannelValues()["x"])
		if err != nil {
			t.Fatal(err)
		}
		before, _ := portable.EncodeValue(value)
		after, _ := portable.EncodeValue(again)
		if !proto.Equal(before, after) {
			t.Errorf("%s: %v became %v", id, value, again)
		}
	}
}

func TestListsAreReadInTheirOrder(t *testing.T) {
	client, _ := newClient(t)
	parent := ""
	for _, id := range []string{"a", "b", "c"} {
		mustPut(t, client, "t", id, parent, 1)
		parent = id
	}
	mustPut(t, client, "u", "a", "", 1)
	var ids []string
	for found, err := range client.EachCheckpoint(t.Context(), &v1.ListCheckpointsRequest{ThreadId: "t"}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, found.GetCheckpoint().GetId())
	}
	if !slices.Equal(ids, []string{"c", "b", "a"}) {
		t.Error(ids)
	}
	for state, err := range client.EachState(t.Context(), &v1.GetStateHistoryRequest{ThreadId: "t", CheckpointId: "b"}) {
		if err != nil || state.GetConfig().GetCheckpointId() != "b" {
			t.Errorf("%v, %v", state, err)
		}
	}
	// Page by page.
	var threads []string
	for thread, err := range client.EachThread(t.Context(), &v1.ListThreadsRequest{PageSize: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		threads = append(threads, thread.GetThreadId())
	}
	slices.Sort(threads)
	if !slices.Equal(threads, []string{"t", "u"}) {
		t.Error(threads)
	}
	for _, err := range client.EachCheckpoint(t.Context(), &v1.ListCheckpointsRequest{ThreadId: "t", MetadataFilter: "{"}) {
		if !errors.Is(err, checkpointd.ErrInvalidRequest) {
			t.Error(err)
		}
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	client, _ := newClient(t)
	_, err := client.Threads.GetThread(t.Context(), &v1.GetThreadRequest{ThreadId: "nobody"})
	var failure *checkpointd.Error
	if !errors.Is(err, checkpointd.ErrNotFound) || !errors.As(err, &failure) || status.Code(err) != codes.NotFound {
		t.Fatal(err)
	}
	if failure.Reason != "THREAD_NOT_FOUND" || failure.Metadata["thread_id"] != "nobody" || failure.Server != address {
		t.Errorf("%+v", failure)
	}
	if !strings.Contains(err.Error(), "[NOT_FOUND THREAD_NOT_FOUND from "+address+"]") {
		t.Error(err)
	}
	_, err = client.Threads.GetThread(t.Context(), &v1.GetThreadRequest{})
	if !errors.Is(err, checkpointd.ErrInvalidRequest) || !errors.As(err, &failure) || failure.Metadata["field"] != "thread_id" {
		t.Error(err)
	}
	mustPut(t, client, "t", "a", "", 1)
	mustPut(t, client, "t", "b", "a", 1)
	head := "a"
	err = put(t, client, "t", "c", "a", 1, &v1.Precondition{ExpectedHead: &head})
	if !errors.Is(err, checkpointd.ErrHeadMoved) || !errors.Is(err, checkpointd.ErrAborted) || errors.Is(err, checkpointd.ErrLeaseLost) {
		t.Error(err)
	}
	_, err = client.States.UpdateState(t.Context(), &v1.UpdateStateRequest{
		ThreadId: "t", Supersteps: []*v1.Superstep{{Updates: []*v1.StateUpdate{{AsNode: "n"}}}},
	})
	if !errors.Is(err, checkpointd.ErrGraphUnknown) || !errors.Is(err, checkpointd.ErrFailedPrecondition) {
		t.Error(err)
	}
	err = put(t, client, "t", "d", "b", strings.Repeat("x", 300<<20))
	if !errors.Is(err, checkpointd.ErrTooLarge) || !errors.As(err, &failure) || failure.Metadata["option"] != "--max-message-size" {
		t.Error(err)
	}
}

func TestAnUpdateOfAPythonThreadIsSeenByPython(t *testing.T) {
	client, tenant := newClient(t)
	python(t, tenant, "both", "t", "begin")
	value, err := portable.EncodeValue([]any{"by Go"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.States.UpdateState(t.Context(), &v1.UpdateStateRequest{
		ThreadId: "t",
		Supersteps: []*v1.Superstep{{Updates: []*v1.StateUpdate{
			{AsNode: "left", Writes: []*v1.ChannelWrites{{Channel: "log", Values: []*v1.Value{value}}}},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	state, err := client.States.GetState(t.Context(), &v1.GetStateRequest{ThreadId: "t"})
	if err != nil {
		t.Fatal(err)
	}
	log, err := portable.DecodeValue(state.GetSnapshot().GetValues()["log"])
	if items, _ := log.([]any); err != nil || !slices.Equal(items, []any{"by Go"}) {
		t.Errorf("%v, %v", log, err)
	}
	if ended := python(t, tenant, "both", "t"); !slices.Equal(ended.Values.Log, []string{"by Go"}) {
		t.Errorf("%+v", ended)
	}
}

func TestALeaseIsOnesOwnAndFencesWrites(t *testing.T) {
	client, _ := newClient(t)
	var old uint64
	err := client.WithLease(t.Context(), "t", "one", time.Second, 0, func(ctx context.Context, token uint64) error {
		old = token
		err := client.WithLease(ctx, "t", "two", time.Second, 0, func(context.Context, uint64) error { return nil })
		if !errors.Is(err, checkpointd.ErrLeaseHeld) {
			t.Errorf("%v", err)
		}
		return put(t, client, "t", "a", "", 1, &v1.Precondition{FencingToken: token})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := put(t, client, "t", "b", "a", 1, &v1.Precondition{FencingToken: old}); !errors.Is(err, checkpointd.ErrLeaseLost) {
		t.Error(err)
	}
	// Somebody takes it away: the function's context ends, and says why.
	err = client.WithLease(t.Context(), "t", "one", time.Second, 0, func(ctx context.Context, token uint64) error {
		_, err := client.Leases.ReleaseLease(ctx, &v1.ReleaseLeaseRequest{ThreadId: "t", Holder: "one", FencingToken: token})
		if err != nil {
			return err
		}
		_, err = client.Leases.AcquireLease(ctx, &v1.AcquireLeaseRequest{
			ThreadId: "t", Holder: "two", Ttl: durationpb.New(time.Minute),
		})
		if err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
	if !errors.Is(err, checkpointd.ErrLeaseLost) {
		t.Error(err)
	}
}

func TestArgumentsAreLookedAt(t *testing.T) {
	for _, option := range []checkpointd.Option{
		checkpointd.WithTenant(""), checkpointd.WithTenant("a b"), checkpointd.WithTimeout(-1),
	} {
		if _, err := checkpointd.New(address, option); !errors.Is(err, checkpointd.ErrInvalidRequest) {
			t.Error(err)
		}
	}
	client, _ := newClient(t)
	mustPut(t, client, "t", "a", "", 1)
	if err := client.Answer(t.Context(), "t", "", 1); !errors.Is(err, checkpointd.ErrNotFound) {
		t.Error(err)
	}
	if _, err := client.Interrupts(t.Context(), "nobody"); !errors.Is(err, checkpointd.ErrNotFound) {
		t.Error(err)
	}
}

func TestTheCallersContextEndsACall(t *testing.T) {
	client, _ := newClient(t)
	hold := func(ctx context.Context, holder string) error {
		_, err := client.Leases.AcquireLease(ctx, &v1.AcquireLeaseRequest{
			ThreadId: "t", Holder: holder, Ttl: durationpb.New(time.Minute), Wait: durationpb.New(time.Minute),
		})
		return err
	}
	if err := hold(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- hold(ctx, "two") }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := hold(short, "two"); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, checkpointd.ErrDeadlineExceeded) {
		t.Error(err)
	}
	// The client's own timeout.
	hasty := clientOf(t, address, checkpointd.WithTimeout(time.Second))
	_, err := hasty.Leases.AcquireLease(t.Context(), &v1.AcquireLeaseRequest{ThreadId: "t", Holder: "a", Ttl: durationpb.New(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = hasty.Leases.AcquireLease(t.Context(), &v1.AcquireLeaseRequest{
		ThreadId: "t", Holder: "b", Ttl: durationpb.New(time.Minute), Wait: durationpb.New(time.Minute),
	})
	if !errors.Is(err, checkpointd.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "no answer within") {
		t.Error(err)
	}
}

func TestAClosedClientSaysSo(t *testing.T) {
	client, _ := newClient(t)
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := client.Threads.GetThread(t.Context(), &v1.GetThreadRequest{ThreadId: "t"})
	if !errors.Is(err, checkpointd.ErrClosed) {
		t.Error(err)
	}
	for _, err := range client.EachCheckpoint(t.Context(), &v1.ListCheckpointsRequest{ThreadId: "t"}) {
		if !errors.Is(err, checkpointd.ErrClosed) {
			t.Error(err)
		}
	}
}

// A call waits for a server that is not there yet, says so, and is carried out when it comes.
func TestACallWaitsForAServer(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for longer than two seconds")
	}
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := port.Addr().String()
	if err := port.Close(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	warned := make(chan struct{})
	log := slog.New(slog.NewTextHandler(writer(func(text []byte) (int, error) {
		defer close(warned)
		return said.Write(text)
	}), nil))
	client := clientOf(t, target, checkpointd.WithLogger(log))
	stored := make(chan error, 1)
	go func() { stored <- put(t, client, "t", "a", "", 1) }()
	<-warned
	if !strings.Contains(said.String(), "no answer from "+target+" yet (no server answers at") {
		t.Error(said.String())
	}
	server, err := startServer(t.TempDir(), "--listen", target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.stop)
	if err := <-stored; err != nil {
		t.Error(err)
	}
	hasty := clientOf(t, "127.0.0.1:1", checkpointd.WithTimeout(300*time.Millisecond))
	_, err = hasty.Threads.GetThread(t.Context(), &v1.GetThreadRequest{ThreadId: "t"})
	if !errors.Is(err, checkpointd.ErrUnavailable) || !strings.Contains(err.Error(), "no server answers at 127.0.0.1:1") {
		t.Error(err)
	}
	for _, err := range hasty.EachThread(t.Context(), &v1.ListThreadsRequest{}) {
		if !errors.Is(err, checkpointd.ErrUnavailable) {
			t.Error(err)
		}
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(text []byte) (int, error) { return w(text) }

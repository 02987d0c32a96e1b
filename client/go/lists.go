package checkpointd

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	v1 "checkpointd/checkpointdv1"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// isEnd says whether a stream has come to its end.
func isEnd(err error) bool { return errors.Is(err, io.EOF) }

// EachCheckpoint reads a list of checkpoints, newest commit first. A list that is broken off goes on where it was, if it is of
// one namespace; otherwise it ends with an error, as the last thing that it gives. Leaving the loop ends the call.
func (c *Client) EachCheckpoint(
	ctx context.Context, request *v1.ListCheckpointsRequest,
) iter.Seq2[*v1.CheckpointTuple, error] {
	return each(ctx, c, listing[v1.ListCheckpointsResponse, *v1.CheckpointTuple]{
		open: func(ctx context.Context) (grpc.ServerStreamingClient[v1.ListCheckpointsResponse], error) {
			return c.Checkpoints.ListCheckpoints(ctx, request)
		},
		item: (*v1.ListCheckpointsResponse).GetCheckpointTuple,
		// The order of one namespace is that of commits; before a checkpoint of another one it is that of ids.
		canGoOn: request.CheckpointNs != nil && request.ThreadId != "" && request.BeforeCheckpointId == "",
		goOn: func(last *v1.CheckpointTuple, taken int64) {
			request = proto.CloneOf(request)
			request.BeforeCheckpointId = last.GetCheckpoint().GetId()
			request.Limit = less(request.Limit, taken)
		},
	})
}

// EachState reads a namespace's states, newest commit first; as EachCheckpoint.
func (c *Client) EachState(ctx context.Context, request *v1.GetStateHistoryRequest) iter.Seq2[*v1.StateSnapshot, error] {
	return each(ctx, c, listing[v1.GetStateHistoryResponse, *v1.StateSnapshot]{
		open: func(ctx context.Context) (grpc.ServerStreamingClient[v1.GetStateHistoryResponse], error) {
			return c.States.GetStateHistory(ctx, request)
		},
		item:    (*v1.GetStateHistoryResponse).GetSnapshot,
		canGoOn: request.BeforeCheckpointId == "",
		goOn: func(last *v1.StateSnapshot, taken int64) {
			request = proto.CloneOf(request)
			request.BeforeCheckpointId = last.GetConfig().GetCheckpointId()
			request.Limit = less(request.Limit, taken)
		},
	})
}

// EachThread reads all threads that a request matches, page by page.
func (c *Client) EachThread(ctx context.Context, request *v1.ListThreadsRequest) iter.Seq2[*v1.Thread, error] {
	return func(yield func(*v1.Thread, error) bool) {
		page := proto.CloneOf(request)
		for {
			answer, err := c.Threads.ListThreads(ctx, page)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, thread := range answer.GetThreads() {
				if !yield(thread, nil) {
					return
				}
			}
			if page.PageToken = answer.GetNextPageToken(); page.PageToken == "" {
				return
			}
		}
	}
}

func less(limit *int64, taken int64) *int64 {
	if limit == nil {
		return nil
	}
	rest := *limit - taken
	return &rest
}

// listing is how a list is asked for, and asked for the rest of.
type listing[Response, Item any] struct {
	open    func(context.Context) (grpc.ServerStreamingClient[Response], error)
	item    func(*Response) Item
	canGoOn bool
	goOn    func(last Item, taken int64)
}

func each[Response, Item any](ctx context.Context, c *Client, list listing[Response, Item]) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		var none Item
		for attempts := c.attempts(); ; {
			var last Item
			taken, err := once(ctx, c, list, attempts.began, func(item Item) bool {
				last = item
				return yield(item, nil)
			})
			if err == nil {
				return
			}
			failure := c.failure(ctx, err)
			if taken > 0 {
				if !list.canGoOn || !failure.isTransient() {
					yield(none, attempts.error(failure))
					return
				}
				list.goOn(last, taken)
				attempts = c.attempts()
			}
			bounded, cancel := ctx, context.CancelFunc(func() {})
			if c.timeout > 0 {
				bounded, cancel = context.WithDeadline(ctx, attempts.began.Add(c.timeout))
			}
			err = attempts.pauseAfter(bounded, failure)
			cancel()
			if err != nil {
				yield(none, err)
				return
			}
		}
	}
}

// errLate ends a list whose first item did not come in time.
var errLate = errors.New("there was no answer in time")

// once reads a list until its end, a failure, or the reader has enough, and says how many items it gave.
func once[Response, Item any](
	ctx context.Context, c *Client, list listing[Response, Item], began time.Time, give func(Item) bool,
) (taken int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	isThere := func() bool { return true }
	if c.timeout > 0 {
		alarm := time.AfterFunc(time.Until(began.Add(c.timeout)), func() { cancel(errLate) })
		defer alarm.Stop()
		isThere = alarm.Stop
	}
	stream, err := list.open(ctx)
	for err == nil {
		var response *Response
		if response, err = stream.Recv(); err == nil {
			isThere()
			taken++
			if !give(list.item(response)) {
				return taken, nil
			}
		}
	}
	switch {
	case isEnd(err):
		return taken, nil
	case context.Cause(ctx) == errLate:
		return taken, c.late()
	}
	return taken, err
}

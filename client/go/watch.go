package checkpointd

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	v1 "checkpointd/checkpointdv1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// What a thread may come to.
const (
	Finished    = "finished"
	Interrupted = "interrupted"
	Failed      = "failed"
)

// Watch tells what is committed, from now on or after the request's token. It goes on over failures, without gap or duplicate,
// until the loop is left, the context ends, or no server answers within the client's timeout; an error is the last thing that
// it gives. ErrWatchExpired: events after the token are not kept any more.
//
// It begins when it is ranged over. For what must not be missed before that, take a WatchToken first.
func (c *Client) Watch(ctx context.Context, request *v1.WatchRequest) iter.Seq2[*v1.WatchEvent, error] {
	return func(yield func(*v1.WatchEvent, error) bool) {
		for response, err := range c.watched(ctx, request) {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, event := range response.GetEvents() {
				if !yield(event, nil) {
					return
				}
			}
		}
	}
}

// WatchToken gives a token from which a Watch of the same thread and filters tells what is committed from now on.
func (c *Client) WatchToken(ctx context.Context, request *v1.WatchRequest) (string, error) {
	for response, err := range c.watched(ctx, request) {
		return response.GetToken(), err
	}
	return "", c.fails(ErrUnavailable, codes.Unavailable, "the server ended the watch")
}

// WaitFor waits until a thread, which need not exist yet, has come to one of these (Finished, Interrupted, Failed; without
// any: any of them), and says which. What it had come to by the commit `after` does not count: give the thread's sequence from
// before a run, or 0. ErrGraphUnknown: only the thread's graph could tell whether it has finished.
func (c *Client) WaitFor(ctx context.Context, threadID string, after uint64, until ...string) (string, error) {
	possible := []string{Finished, Interrupted, Failed}
	if len(until) == 0 {
		until = possible
	}
	for _, one := range until {
		if !slices.Contains(possible, one) {
			return "", c.invalid("until", fmt.Sprintf("%q is not one of %v", one, possible))
		}
	}
	for {
		// Watched first and looked at then, so that nothing can come between.
		for _, err := range c.watched(ctx, &v1.WatchRequest{ThreadId: threadID}) {
			if errors.Is(err, ErrWatchExpired) {
				break
			}
			if err != nil {
				return "", err
			}
			status, err := c.comeTo(ctx, threadID, after, slices.Contains(until, Finished))
			if err != nil || slices.Contains(until, status) {
				return status, err
			}
		}
	}
}

// comeTo says what a thread has come to since a commit; "" for nothing of it.
func (c *Client) comeTo(ctx context.Context, threadID string, after uint64, finished bool) (string, error) {
	found, err := c.Threads.GetThread(ctx, &v1.GetThreadRequest{ThreadId: threadID})
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	if err != nil || found.GetThread().GetSequence() <= after {
		return "", err
	}
	switch found.GetThread().GetStatus() {
	case v1.ThreadStatus_THREAD_STATUS_INTERRUPTED:
		return Interrupted, nil
	case v1.ThreadStatus_THREAD_STATUS_FAILED:
		return Failed, nil
	case v1.ThreadStatus_THREAD_STATUS_IDLE:
		if finished {
			return c.finished(ctx, threadID)
		}
	}
	return "", nil
}

// finished says whether nothing of a thread runs next.
func (c *Client) finished(ctx context.Context, threadID string) (string, error) {
	state, err := c.States.GetState(ctx, &v1.GetStateRequest{ThreadId: threadID})
	switch {
	case err != nil:
		return "", err
	case state.GetSnapshot().GetNextUnknown():
		return "", c.fails(ErrGraphUnknown, codes.FailedPrecondition,
			fmt.Sprintf("whether thread %q has finished can't be told without its graph; register it", threadID))
	case state.GetSnapshot().GetExists() && len(state.GetSnapshot().GetNext()) == 0:
		return Finished, nil
	}
	return "", nil
}

func (c *Client) watched(ctx context.Context, request *v1.WatchRequest) iter.Seq2[*v1.WatchResponse, error] {
	return each(ctx, c, listing[v1.WatchResponse, *v1.WatchResponse]{
		open: func(ctx context.Context) (grpc.ServerStreamingClient[v1.WatchResponse], error) {
			return c.Watches.Watch(ctx, request)
		},
		item:    func(response *v1.WatchResponse) *v1.WatchResponse { return response },
		canGoOn: true,
		goOn: func(last *v1.WatchResponse, _ int64) {
			request = proto.CloneOf(request)
			request.Token = last.GetToken()
		},
	})
}

package checkpointd

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// The first repetition comes soon, because most outages are a restart or a dropped connection; the longest pause keeps
	// the many clients of a server that is down from being a load when it comes back.
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
	// patience is how long a call repeats before it says so, and how long the other calls of its client leave it at that.
	patience = 2 * time.Second
)

// attempts are those of one call.
type attempts struct {
	client  *Client
	began   time.Time
	ceiling time.Duration
	count   int
	warned  bool
}

func (c *Client) attempts() *attempts {
	return &attempts{client: c, began: time.Now(), ceiling: firstPause, count: 1}
}

// pauseAfter waits before the next attempt, or returns the error when there must be none. bounded has the deadline.
func (a *attempts) pauseAfter(bounded context.Context, failure *Error) error {
	// Jitter over the whole pause, so that clients that failed together spread.
	pause := failure.retryAfter() + time.Duration(mathrand.Int64N(int64(a.ceiling)))
	a.ceiling = min(2*a.ceiling, longestPause)
	deadline, isBounded := bounded.Deadline()
	if !failure.isTransient() || (isBounded && time.Until(deadline) <= pause) {
		return a.error(failure)
	}
	a.warn(failure, pause, deadline)
	a.count++
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-a.client.closed:
	case <-bounded.Done():
	}
	return a.error(failure)
}

// error adds how long it was tried.
func (a *attempts) error(failure *Error) error {
	if a.count > 1 {
		failure.Message = fmt.Sprintf("%s (%d attempts in %s)", failure.Message, a.count, seconds(time.Since(a.began)))
	}
	return failure
}

func (a *attempts) warn(failure *Error, pause time.Duration, deadline time.Time) {
	now := time.Now()
	if a.warned || now.Add(pause).Sub(a.began) < patience {
		return
	}
	a.warned = true
	last := a.client.warned.Load()
	if now.UnixNano()-last < int64(patience) || !a.client.warned.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	trying := "until it answers"
	if !deadline.IsZero() {
		trying = "for " + seconds(time.Until(deadline))
	}
	a.client.log.Warn(fmt.Sprintf("checkpointd: no answer from %s yet (%s); trying again %s",
		a.client.target, failure.Message, trying))
}

func seconds(span time.Duration) string { return fmt.Sprintf("%.1f s", span.Seconds()) }

// unary makes one call: with the tenant, named so that it is carried out once, and repeated while the server is not there.
func (c *Client) unary(
	ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker,
	options ...grpc.CallOption,
) error {
	bounded, cancel := c.bounded(ctx)
	defer cancel()
	request = named(request)
	for attempts := c.attempts(); ; {
		caller, err := c.asCaller(bounded)
		if err != nil {
			return err
		}
		err = invoke(caller, method, request, reply, connection, options...)
		if err == nil {
			return nil
		}
		if err := attempts.pauseAfter(bounded, c.failure(ctx, err)); err != nil {
			return err
		}
	}
}

// asCaller is a context that says who calls: the tenant if one is named, and the token as it is now.
func (c *Client) asCaller(ctx context.Context) (context.Context, error) {
	said, err := c.authorization(ctx)
	if err != nil {
		return nil, err
	}
	if c.tenant != nil {
		said = append(said, "checkpointd-tenant", *c.tenant)
	}
	return metadata.AppendToOutgoingContext(ctx, said...), nil
}

// named gives a request a name that no other one has, where the contract has a place for it and the caller left it empty.
func named(request any) any {
	message, ok := request.(proto.Message)
	if !ok {
		return request
	}
	field := message.ProtoReflect().Descriptor().Fields().ByName("request_id")
	if field == nil || message.ProtoReflect().Get(field).String() != "" {
		return request
	}
	copied := proto.Clone(message)
	copied.ProtoReflect().Set(field, protoreflect.ValueOfString(strings.ToLower(rand.Text())))
	return copied
}

// stream opens one, whose errors are this package's. What reads lists repeats it.
func (c *Client) stream(
	ctx context.Context, description *grpc.StreamDesc, connection *grpc.ClientConn, method string, open grpc.Streamer,
	options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	caller, err := c.asCaller(ctx)
	if err != nil {
		return nil, err
	}
	opened, err := open(caller, description, connection, method, options...)
	if err != nil {
		return nil, c.failure(ctx, err)
	}
	return &stream{opened, c, ctx}, nil
}

type stream struct {
	grpc.ClientStream
	client *Client
	ctx    context.Context
}

func (s *stream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	if err == nil || isEnd(err) {
		return err
	}
	return s.client.failure(s.ctx, err)
}

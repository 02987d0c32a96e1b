package checkpointd

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "checkpointd/checkpointdv1"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
)

// WithLease calls a function while holder has the lease of a thread, which it renews as long as the function runs. The
// function's fencing token belongs into the Precondition of what it writes, so that nothing is stored once the lease is lost.
//
// ttl is how long the lease outlives a program that ends without giving it back, 1 second to 1 hour; wait is how long to wait
// for one that somebody else has. It fails with ErrLeaseHeld when it does not get it; when the lease is lost meanwhile, the
// function's context ends with ErrLeaseLost as its cause, which is returned then. Otherwise it returns what the function does.
func (c *Client) WithLease(
	ctx context.Context, threadID, holder string, ttl, wait time.Duration,
	use func(ctx context.Context, fencingToken uint64) error,
) error {
	acquired, err := c.Leases.AcquireLease(ctx, &v1.AcquireLeaseRequest{
		ThreadId: threadID, Holder: holder, Ttl: durationpb.New(ttl), Wait: durationpb.New(wait),
	})
	if err != nil {
		return err
	}
	token := acquired.GetLease().GetFencingToken()
	using, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		c.renew(using, cancel, &v1.RenewLeaseRequest{
			ThreadId: threadID, Holder: holder, FencingToken: token, Ttl: durationpb.New(ttl),
		})
	}()
	err = use(using, token)
	lost := context.Cause(using)
	cancel(nil)
	<-renewed
	if errors.Is(lost, ErrLeaseLost) {
		if err == nil || errors.Is(err, ErrLeaseLost) {
			return lost
		}
		return fmt.Errorf("%w; %w", lost, err)
	}
	// Also when the caller's context has ended: others wait for it. What can't be given back ends by itself.
	giving, done := context.WithTimeout(context.WithoutCancel(ctx), min(ttl, 5*time.Second))
	defer done()
	_, _ = c.Leases.ReleaseLease(giving, &v1.ReleaseLeaseRequest{ThreadId: threadID, Holder: holder, FencingToken: token})
	return err
}

// renew renews a lease three times in its life, until the context ends or it is lost.
func (c *Client) renew(ctx context.Context, lost context.CancelCauseFunc, request *v1.RenewLeaseRequest) {
	ttl := request.GetTtl().AsDuration()
	ticker := time.NewTicker(ttl / 3)
	defer ticker.Stop()
	for ends := time.Now().Add(ttl); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		asked := time.Now()
		bounded, done := context.WithDeadline(ctx, ends)
		_, err := c.Leases.RenewLease(bounded, request)
		done()
		switch {
		case err == nil:
			ends = asked.Add(ttl)
		case errors.Is(err, ErrLeaseLost):
			lost(err)
			return
		case !time.Now().Before(ends):
			lost(c.fails(ErrLeaseLost, codes.Aborted, "the lease ended before it could be renewed: "+err.Error()))
			return
		}
	}
}

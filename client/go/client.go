package checkpointd

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math"
	"os"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	v1 "checkpointd/checkpointdv1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // for the service config that asks for it
	"google.golang.org/grpc/keepalive"
)

// DefaultTarget is where a server listens unless it is told otherwise.
const DefaultTarget = "127.0.0.1:50051"

// Client speaks to a server. It may be used by many goroutines at a time.
type Client struct {
	Checkpoints v1.CheckpointsClient
	Threads     v1.ThreadsClient
	States      v1.StatesClient
	Leases      v1.LeasesClient
	Retention   v1.RetentionClient
	APIKeys     v1.ApiKeysClient
	Limits      v1.LimitsClient
	Watches     v1.WatchesClient

	target     string
	tenant     *string // nil: that of the token
	timeout    time.Duration
	tls        *tls.Config
	token      func(context.Context) (string, error) // nil: none is shown
	plaintext  bool
	log        *slog.Logger
	connection *grpc.ClientConn
	closed     chan struct{}
	close      sync.Once
	warned     atomic.Int64 // when the client last said that there is no answer, in nanoseconds
}

// Option is one of New's.
type Option func(*Client)

// WithTenant says whose data to read and write: 1 to 64 characters of A-Z a-z 0-9 . _ -. Tenants share nothing. Unless it is
// said, that of the token; without one, "default".
func WithTenant(tenant string) Option { return func(c *Client) { c.tenant = &tenant } }

// WithTimeout bounds a call, its repetitions included, besides its context; of a list, the wait for the first item. 0 is no
// bound; a minute unless it is said.
func WithTimeout(timeout time.Duration) Option { return func(c *Client) { c.timeout = timeout } }

// WithTLS speaks TLS; without it, calls are in the clear.
func WithTLS(config *tls.Config) Option { return func(c *Client) { c.tls = config } }

// WithLogger is told when a call waits for a server for longer than two seconds; slog.Default() unless it is said.
func WithLogger(log *slog.Logger) Option { return func(c *Client) { c.log = log } }

var tenants = regexp.MustCompile(`\A[A-Za-z0-9._-]{1,64}\z`)

// New makes a client. Nothing is sent before the first call.
//
// The target is HOST:PORT, or one with a scheme of gRPC's, such as unix:///run/checkpointd.sock. It fails with
// ErrInvalidRequest for arguments that are not of their form.
func New(target string, options ...Option) (*Client, error) {
	client := &Client{
		target: target, timeout: time.Minute, log: slog.Default(), closed: make(chan struct{}),
	}
	for _, option := range options {
		option(client)
	}
	if client.tenant != nil && !tenants.MatchString(*client.tenant) {
		return nil, client.invalid("tenant", fmt.Sprintf("%q is not 1 to 64 characters of A-Z a-z 0-9 . _ -", *client.tenant))
	}
	if client.timeout < 0 {
		return nil, client.invalid("timeout", "it is below 0")
	}
	if err := client.fromEnvironment(os.Getenv); err != nil {
		return nil, err
	}
	if err := client.checkToken(); err != nil {
		return nil, err
	}
	if err := client.connect(); err != nil {
		return nil, client.invalid("target", err.Error())
	}
	return client, nil
}

func (c *Client) connect() (err error) {
	transport := insecure.NewCredentials()
	if c.tls != nil {
		transport = credentials.NewTLS(c.tls)
	}
	c.connection, err = grpc.NewClient(
		c.target,
		grpc.WithTransportCredentials(transport),
		grpc.WithUnaryInterceptor(c.unary),
		grpc.WithStreamInterceptor(c.stream),
		// The server has the limit, and says which option changes it.
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstPause, Multiplier: 2, Jitter: 0.2, MaxDelay: longestPause},
			MinConnectTimeout: 5 * time.Second,
		}),
		// So that a connection whose other end is gone without a word is noticed.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 20 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true,
		}),
		// Of a target with several servers: by turns, and those only that say they can serve.
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}`),
		// Repeating is this client's, which names what must be carried out once.
		grpc.WithDisableRetry(),
	)
	if err != nil {
		return err
	}
	c.Checkpoints = v1.NewCheckpointsClient(c.connection)
	c.Threads = v1.NewThreadsClient(c.connection)
	c.States = v1.NewStatesClient(c.connection)
	c.Leases = v1.NewLeasesClient(c.connection)
	c.Retention = v1.NewRetentionClient(c.connection)
	c.APIKeys = v1.NewApiKeysClient(c.connection)
	c.Limits = v1.NewLimitsClient(c.connection)
	c.Watches = v1.NewWatchesClient(c.connection)
	return nil
}

// Close ends the connection. Calls under way fail with ErrClosed. Closing twice is allowed.
func (c *Client) Close() error {
	var err error
	c.close.Do(func() {
		close(c.closed)
		err = c.connection.Close()
	})
	return err
}

func (c *Client) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// bounded is a context with the client's timeout.
func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.timeout)
}

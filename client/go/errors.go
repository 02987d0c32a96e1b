package checkpointd

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What can go wrong, by what a caller does about it. errors.Is compares an *Error with them; one that belongs to another is
// that one too: what is ErrHeadMoved is ErrAborted.
var (
	// ErrInvalidRequest: the request breaks a rule of the contract; nothing was stored. Metadata["field"] names the field.
	ErrInvalidRequest = errors.New("the request breaks a rule of the contract")
	// ErrNotFound: there is no such thread, checkpoint, graph, subgraph or interrupt.
	ErrNotFound = errors.New("there is no such thing")
	// ErrAlreadyExists: the target of a copy has a history of its own.
	ErrAlreadyExists = errors.New("the target has a history of its own")
	// ErrFailedPrecondition: the thread, as it is, does not allow this; nothing was stored.
	ErrFailedPrecondition = errors.New("the thread does not allow this")
	// ErrGraphUnknown (ErrFailedPrecondition): no graph is known for the thread. Register it, or name one.
	ErrGraphUnknown = errors.New("no graph is known for the thread")
	// ErrNeedsCode (ErrFailedPrecondition): only the graph's code knows the outcome.
	ErrNeedsCode = errors.New("the outcome needs the graph's code")
	// ErrAnswered (ErrFailedPrecondition): the interrupt has an answer already; run the graph.
	ErrAnswered = errors.New("the interrupt has an answer already")
	// ErrAmbiguous (ErrFailedPrecondition): several interrupts wait, and it was not said which one is answered.
	ErrAmbiguous = errors.New("several interrupts wait")
	// ErrAborted: another writer was first; nothing was stored. Read again, and decide.
	ErrAborted = errors.New("another writer was first")
	// ErrHeadMoved (ErrAborted): the head is not the one that was expected.
	ErrHeadMoved = errors.New("the head is not the one that was expected")
	// ErrLeaseLost (ErrAborted): the lease has ended. Acquire it again, and read again.
	ErrLeaseLost = errors.New("the lease has ended")
	// ErrLeaseHeld (ErrAborted): somebody else has the lease. Metadata has "holder" and "expires_in_ms".
	ErrLeaseHeld = errors.New("somebody else has the lease")
	// ErrAlreadyWritten (ErrAborted): another run has written what this one wrote, and something else.
	ErrAlreadyWritten = errors.New("another run has written this")
	// ErrUnavailable: the server or its database was not there for the whole timeout. A write may be stored; repeat it.
	ErrUnavailable = errors.New("the server was not there")
	// ErrDeadlineExceeded: there was no answer within the timeout. A write may be stored; repeating it is safe.
	ErrDeadlineExceeded = errors.New("there was no answer in time")
	// ErrResourceExhausted: the server has no room; nothing was stored.
	ErrResourceExhausted = errors.New("the server has no room")
	// ErrTooLarge (ErrResourceExhausted): a message is over the server's limit. Metadata has "size", "limit" and "option".
	ErrTooLarge = errors.New("a message is over the server's limit")
	// ErrOverloaded (ErrResourceExhausted): the server had too much to do for the whole timeout; nothing was stored.
	ErrOverloaded = errors.New("the server has too much to do")
	// ErrQuotaExceeded (ErrResourceExhausted): the tenant uses all that it may; nothing was stored. Metadata has "quota"
	// ("threads", "bytes" or "ops_per_second") and "limit".
	ErrQuotaExceeded = errors.New("the tenant uses all that it may")
	// ErrWatchExpired: events after the token of a watch are not kept any more. Watch from now on, and read anew.
	ErrWatchExpired = errors.New("events after the token are gone")
	// ErrAccessDenied: the caller may not do this.
	ErrAccessDenied = errors.New("the caller may not do this")
	// ErrUnsupported: the server does not know the call; it is older than this client, or no checkpointd server.
	ErrUnsupported = errors.New("the server does not know the call")
	// ErrUnreadable: a stored value is in an encoding that this client can't read.
	ErrUnreadable = errors.New("a stored value can't be read here")
	// ErrServerFault: a fault of the server's own; its log says more.
	ErrServerFault = errors.New("the server failed")
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("the client was closed")
)

var kindsByReason = map[string]error{
	"MESSAGE_TOO_LARGE": ErrTooLarge,
	"GRAPH_UNKNOWN":     ErrGraphUnknown,
	"NEEDS_CODE":        ErrNeedsCode,
	"HEAD_MOVED":        ErrHeadMoved,
	"LEASE_LOST":        ErrLeaseLost,
	"LEASE_HELD":        ErrLeaseHeld,
	"ALREADY_WRITTEN":   ErrAlreadyWritten,
	"OVERLOADED":        ErrOverloaded,
	"TOO_MANY_STREAMS":  ErrOverloaded,
	"QUOTA_EXCEEDED":    ErrQuotaExceeded,

	"WATCH_TOKEN_EXPIRED": ErrWatchExpired,
}

var kindsByCode = map[codes.Code]error{
	codes.InvalidArgument:    ErrInvalidRequest,
	codes.OutOfRange:         ErrInvalidRequest,
	codes.NotFound:           ErrNotFound,
	codes.AlreadyExists:      ErrAlreadyExists,
	codes.FailedPrecondition: ErrFailedPrecondition,
	codes.Aborted:            ErrAborted,
	codes.Unavailable:        ErrUnavailable,
	codes.Canceled:           ErrUnavailable,
	codes.DeadlineExceeded:   ErrDeadlineExceeded,
	codes.ResourceExhausted:  ErrResourceExhausted,
	codes.Unauthenticated:    ErrAccessDenied,
	codes.PermissionDenied:   ErrAccessDenied,
	codes.Unimplemented:      ErrUnsupported,
}

// belongsTo says which errors are one of another.
var belongsTo = map[error]error{
	ErrGraphUnknown: ErrFailedPrecondition, ErrNeedsCode: ErrFailedPrecondition,
	ErrAnswered: ErrFailedPrecondition, ErrAmbiguous: ErrFailedPrecondition,
	ErrHeadMoved: ErrAborted, ErrLeaseLost: ErrAborted, ErrLeaseHeld: ErrAborted, ErrAlreadyWritten: ErrAborted,
	ErrTooLarge: ErrResourceExhausted, ErrOverloaded: ErrResourceExhausted, ErrQuotaExceeded: ErrResourceExhausted,
}

var advice = map[error]string{
	ErrAborted:          "read the thread again and decide whether to repeat",
	ErrLeaseLost:        "acquire it again, and read the thread as it is now",
	ErrLeaseHeld:        "wait for longer, or try again later",
	ErrAlreadyWritten:   "run again: that goes on from what is there",
	ErrHeadMoved:        "read the thread again and decide whether to repeat",
	ErrUnavailable:      "check that the server runs at this address and try again: repeating a call is safe",
	ErrOverloaded:       "try again later, or start more servers: repeating a call is safe",
	ErrQuotaExceeded:    "delete what is not needed, or ask who runs this server for more",
	ErrDeadlineExceeded: "try again, which is safe, or give the client a longer timeout",
	ErrUnsupported:      "check that the address is a checkpointd server's and that it is not older than this client",
	ErrServerFault:      "the server's log says more",
	ErrClosed:           "make a new one",
}

// Error is a call that failed. Its text says what, why, where and what to do; its fields say the same to programs.
type Error struct {
	// Code is gRPC's; of a failure on this side, the one that says the same.
	Code codes.Code
	// Reason is a name of the contract's ErrorReason without its prefix, such as INVALID_FIELD; "" when there is none.
	Reason string
	// Message says what went wrong.
	Message string
	// Metadata has the reason's details, by the names that the contract documents.
	Metadata map[string]string
	// Server is the target that the client was made with.
	Server string

	kind  error
	cause error
}

func (e *Error) Error() string {
	parts := []string{strings.ToUpper(snake(e.Code.String()))}
	if e.Reason != "" {
		parts = append(parts, e.Reason)
	}
	text := fmt.Sprintf("%s [%s from %s]", e.Message, strings.Join(parts, " "), e.Server)
	if what := advice[e.kind]; what != "" {
		text += "; " + what
	}
	return text
}

// Is compares with one of this package's errors.
func (e *Error) Is(target error) bool { return target == e.kind || target == belongsTo[e.kind] }

// Unwrap is the context's error, if the caller's context ended the call, or what the transport said.
func (e *Error) Unwrap() error { return e.cause }

// GRPCStatus is for google.golang.org/grpc/status.
func (e *Error) GRPCStatus() *status.Status { return status.New(e.Code, e.Message) }

// snake puts underscores between words: NotFound becomes Not_Found.
func snake(name string) string { return wordEnds.ReplaceAllString(name, "${1}_${2}") }

var (
	wordEnds = regexp.MustCompile(`([a-z])([A-Z])`)
	// notConnected is how gRPC says why there is no connection.
	notConnected = regexp.MustCompile(`(?:Error while dialing: |name resolver error: |handshake failed: )(.*?)"?\z`)
	// largerThanMax is what gRPC itself says of a message so large that the server does not look at it.
	largerThanMax = regexp.MustCompile(`(?i)message larger than max \((\d+) vs\. (\d+)\)`)
)

func (c *Client) fails(kind error, code codes.Code, message string) *Error {
	return &Error{Code: code, Message: message, Server: c.target, kind: kind}
}

func (c *Client) invalid(field, why string) *Error {
	made := c.fails(ErrInvalidRequest, codes.InvalidArgument, field+": "+why)
	made.Reason, made.Metadata = "INVALID_FIELD", map[string]string{"field": field}
	return made
}

// failure is what a call's error means; ctx is the caller's.
func (c *Client) failure(ctx context.Context, err error) *Error {
	var already *Error
	if errors.As(err, &already) {
		return already
	}
	said := status.Convert(err)
	made := &Error{Code: said.Code(), Message: said.Message(), Server: c.target, cause: err}
	for _, detail := range said.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			made.Reason, made.Metadata = info.GetReason(), info.GetMetadata()
		}
	}
	if sizes := largerThanMax.FindStringSubmatch(made.Message); sizes != nil && made.Reason == "" {
		made.Reason = "MESSAGE_TOO_LARGE"
		made.Metadata = map[string]string{"size": sizes[1], "limit": sizes[2], "option": "--max-message-size"}
		made.Message = fmt.Sprintf("the message has %s bytes and this server takes %s; store less in one step, "+
			"or start the server with a larger --max-message-size", sizes[1], sizes[2])
	}
	made.kind = kindsByReason[made.Reason]
	if made.kind == nil {
		made.kind = kindsByCode[made.Code]
	}
	if made.kind == nil {
		made.kind = ErrServerFault
	}
	if made.Reason == "" {
		made.Message = c.inWords(made)
	}
	switch {
	case c.isClosed():
		made.kind, made.Code, made.Message = ErrClosed, codes.Canceled, "the client was closed"
	case ctx.Err() != nil:
		made.kind, made.cause = ErrDeadlineExceeded, ctx.Err()
		if errors.Is(ctx.Err(), context.Canceled) {
			made.kind = context.Canceled
		}
	}
	return made
}

// inWords says what gRPC itself said.
func (c *Client) inWords(failure *Error) string {
	if failure.Code == codes.DeadlineExceeded {
		return c.late().Message
	}
	if why := notConnected.FindStringSubmatch(failure.Message); failure.Code == codes.Unavailable && why != nil {
		return fmt.Sprintf("no server answers at %s (%s)", c.target, why[1])
	}
	return failure.Message
}

// isTransient says whether the same request may succeed if it is sent again. What was broken off, which nobody here asked
// for, was so by a server that went away.
func (e *Error) isTransient() bool {
	return e.kind == ErrUnavailable || e.retryAfter() > 0
}

// retryAfter is how long a server with too much to do wants to be left alone; 0 when it said nothing of the kind.
func (e *Error) retryAfter() time.Duration {
	if e.Code != codes.ResourceExhausted {
		return 0
	}
	milliseconds, err := strconv.ParseUint(e.Metadata["retry_after_ms"], 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(milliseconds) * time.Millisecond
}

func (c *Client) late() *Error {
	return c.fails(ErrDeadlineExceeded, codes.DeadlineExceeded,
		fmt.Sprintf("there was no answer within %s", seconds(c.timeout)))
}

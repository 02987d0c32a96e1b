package checkpointd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "checkpointd/checkpointdv1"
	"checkpointd/portable"

	"google.golang.org/grpc/codes"
)

const (
	interruptChannel = "__interrupt__"
	resumeChannel    = "__resume__"
	// resumePlace is the place that the contract has for answers.
	resumePlace = -4
	// noTask has the answers that are for whichever task waits.
	noTask = "00000000-0000-0000-0000-000000000000"
)

// Interrupt is a question that a thread waits with.
type Interrupt struct {
	// ID names it in an answer. It is that of the language in which the graph asked.
	ID string
	// Value is what was asked; package portable says of which types it is.
	Value any
	// Answered says that it has an answer, and waits for somebody to run the graph.
	Answered bool

	// on is the checkpoint whose task asked, and asked the task's write.
	on    *v1.CheckpointTuple
	asked *v1.PendingWrite
	// answers are those that the task has had, this interrupt's with them if it has one.
	answers *v1.PendingWrite
}

// Interrupts gives the questions that a thread's head waits with; none when it waits for nothing. It fails with ErrNotFound
// when the thread has no checkpoint, and ErrUnreadable when a question is stored in Python's own serialisation.
func (c *Client) Interrupts(ctx context.Context, threadID string) ([]Interrupt, error) {
	_, waiting, err := c.waiting(ctx, threadID)
	return waiting, err
}

// Answer stores the answer of an interrupt that a thread's head waits with, for whoever runs the graph next: in Python
// graph.invoke(None, config), in JavaScript graph.invoke(null, config). id may be "" when only one waits.
//
// It fails with ErrNotFound when no such interrupt waits, ErrAnswered when it has been answered, ErrAmbiguous when several
// wait and id is "", and ErrHeadMoved when the thread went on meanwhile. In all of these it has stored nothing.
func (c *Client) Answer(ctx context.Context, threadID, id string, answer any) error {
	head, waiting, err := c.waiting(ctx, threadID)
	if err != nil {
		return err
	}
	chosen, err := c.choose(threadID, id, waiting)
	if err != nil {
		return err
	}
	if len(waiting) == 1 {
		// The whole graph waits for this one, wherever in its subgraphs it is.
		return c.putAnswer(ctx, head, &v1.WritesPut{TaskId: noTask}, answer)
	}
	answers, err := c.answersOf(chosen)
	if err != nil {
		return err
	}
	task := &v1.WritesPut{TaskId: chosen.asked.GetTaskId(), TaskPath: chosen.asked.GetTaskPath()}
	return c.putAnswer(ctx, chosen.on, task, append(answers, answer))
}

// waiting gives a thread's head, and the questions that it waits with.
func (c *Client) waiting(ctx context.Context, threadID string) (*v1.CheckpointTuple, []Interrupt, error) {
	// The server knows which tasks have finished, and which of them two languages have both worked on.
	state, err := c.States.GetState(ctx, &v1.GetStateRequest{ThreadId: threadID})
	if err != nil {
		return nil, nil, err
	}
	head, err := c.checkpoint(ctx, threadID, "", state.GetSnapshot().GetConfig().GetCheckpointId())
	if err != nil {
		return nil, nil, err
	}
	asked, err := c.asked(head)
	if err != nil {
		return nil, nil, err
	}
	var waiting []Interrupt
	for _, one := range asked {
		if slices.ContainsFunc(state.GetSnapshot().GetInterrupts(), func(live *v1.StateInterrupt) bool {
			return live.GetId() == one.ID
		}) {
			waiting = append(waiting, one)
		}
	}
	if len(waiting) > 1 {
		err = c.followInside(ctx, head, waiting)
	}
	return head, waiting, err
}

// checkpoint gives one, or the head of the namespace when id is "".
func (c *Client) checkpoint(ctx context.Context, threadID, namespace, id string) (*v1.CheckpointTuple, error) {
	found, err := c.Checkpoints.GetCheckpoint(ctx, &v1.GetCheckpointRequest{
		ThreadId: threadID, CheckpointNs: namespace, CheckpointId: id,
	})
	return found.GetCheckpointTuple(), err
}

// asked gives what the tasks of a checkpoint have asked, be it finished meanwhile.
func (c *Client) asked(on *v1.CheckpointTuple) ([]Interrupt, error) {
	var found []Interrupt
	answers := map[string]*v1.PendingWrite{}
	for _, pending := range on.GetPendingWrites() {
		if pending.GetWrite().GetChannel() == resumeChannel {
			answers[pending.GetTaskId()] = pending
		}
	}
	for _, pending := range on.GetPendingWrites() {
		if pending.GetWrite().GetChannel() != interruptChannel {
			continue
		}
		questions, err := c.questions(pending)
		if err != nil {
			return nil, err
		}
		// An answer that the task had before it asked is of an earlier question.
		byTask, byAnyone := answers[pending.GetTaskId()], answers[noTask]
		isAnswered := max(byTask.GetSequence(), byAnyone.GetSequence()) > pending.GetSequence()
		for _, question := range questions {
			found = append(found, Interrupt{question.ID, question.Value, isAnswered, on, pending, byTask})
		}
	}
	return found, nil
}

// followInside finds the tasks of subgraphs that have asked: the graphs around them show the interrupts too, as their tasks'.
func (c *Client) followInside(ctx context.Context, head *v1.CheckpointTuple, waiting []Interrupt) error {
	thread, err := c.Threads.GetThread(ctx, &v1.GetThreadRequest{ThreadId: head.GetThreadId()})
	if err != nil {
		return err
	}
	for _, namespace := range thread.GetHeads() {
		if !isInside(namespace.GetCheckpointNs(), head) {
			continue
		}
		inner, err := c.checkpoint(ctx, head.GetThreadId(), namespace.GetCheckpointNs(), "")
		if err != nil {
			return err
		}
		asked, err := c.asked(inner)
		if err != nil {
			return err
		}
		for place, shown := range waiting {
			for _, one := range asked {
				isDeeper := len(inner.GetCheckpointNs()) > len(shown.on.GetCheckpointNs())
				if one.ID == shown.ID && isDeeper {
					waiting[place] = one
				}
			}
		}
	}
	return nil
}

// isInside says whether a namespace is that of a task of the checkpoint, in either language's name for the task.
func isInside(namespace string, head *v1.CheckpointTuple) bool {
	return slices.ContainsFunc(head.GetPendingWrites(), func(pending *v1.PendingWrite) bool {
		return strings.Contains(namespace, ":"+pending.GetTaskId())
	})
}

// questions are the interrupts in a write.
func (c *Client) questions(pending *v1.PendingWrite) ([]*portable.Interrupt, error) {
	value, err := c.read(pending)
	if err != nil {
		return nil, err
	}
	items, isList := value.([]any)
	if !isList {
		items = []any{value}
	}
	var found []*portable.Interrupt
	for _, item := range items {
		question, ok := item.(*portable.Interrupt)
		if !ok {
			return nil, c.unreadable(pending, fmt.Sprintf("it holds a %T", item))
		}
		found = append(found, question)
	}
	return found, nil
}

func (c *Client) read(pending *v1.PendingWrite) (any, error) {
	value, err := portable.DecodeValue(pending.GetWrite().GetValue())
	if err != nil {
		return nil, c.unreadable(pending, err.Error())
	}
	if opaque, ok := value.(portable.Opaque); ok {
		return nil, c.unreadable(pending, fmt.Sprintf("its encoding is %q", opaque.Encoding))
	}
	return value, nil
}

func (c *Client) unreadable(pending *v1.PendingWrite, why string) error {
	made := c.fails(ErrUnreadable, codes.DataLoss,
		fmt.Sprintf("the write to %s of task %s can't be read: %s", pending.GetWrite().GetChannel(), pending.GetTaskId(), why))
	made.Metadata = map[string]string{"encoding": pending.GetWrite().GetValue().GetEncoding()}
	return made
}

// choose gives the interrupt of an id, or the only one, if it can be answered.
func (c *Client) choose(threadID, id string, waiting []Interrupt) (Interrupt, error) {
	var ids []string
	var chosen *Interrupt
	for place, one := range waiting {
		ids = append(ids, one.ID)
		if one.ID == id || (id == "" && len(waiting) == 1) {
			chosen = &waiting[place]
		}
	}
	switch {
	case chosen == nil && id == "" && len(waiting) > 1:
		return Interrupt{}, c.fails(ErrAmbiguous, codes.FailedPrecondition, fmt.Sprintf(
			"thread %q waits with %d interrupts; say which one is answered: %s", threadID, len(ids), strings.Join(ids, ", ")))
	case chosen == nil:
		return Interrupt{}, c.fails(ErrNotFound, codes.NotFound, fmt.Sprintf(
			"thread %q does not wait with the interrupt %q; it waits with %q", threadID, id, ids))
	case chosen.Answered:
		return Interrupt{}, c.fails(ErrAnswered, codes.FailedPrecondition, fmt.Sprintf(
			"interrupt %q of thread %q has an answer already; run the graph", chosen.ID, threadID))
	}
	return *chosen, nil
}

// answersOf are the answers that a task had before it asked.
func (c *Client) answersOf(asked Interrupt) ([]any, error) {
	if asked.answers == nil {
		return nil, nil
	}
	value, err := c.read(asked.answers)
	if err != nil {
		return nil, err
	}
	if answers, ok := value.([]any); ok {
		return answers, nil
	}
	return []any{value}, nil
}

func (c *Client) putAnswer(ctx context.Context, head *v1.CheckpointTuple, task *v1.WritesPut, answer any) error {
	value, err := portable.EncodeValue(answer)
	if err != nil {
		return c.invalid("answer", err.Error())
	}
	id := head.GetCheckpoint().GetId()
	task.CheckpointNs, task.CheckpointId = head.GetCheckpointNs(), id
	task.Writes = []*v1.Write{{Idx: resumePlace, Channel: resumeChannel, Value: value}}
	_, err = c.Checkpoints.PutWrites(ctx, &v1.PutWritesRequest{
		ThreadId: head.GetThreadId(), Put: task, Precondition: &v1.Precondition{ExpectedHead: &id},
	})
	return err
}

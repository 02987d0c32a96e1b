package checkpointd_test

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	checkpointd "checkpointd"
	"checkpointd/portable"
)

// byQuestion gives the id of an interrupt by what it asks.
func byQuestion(t *testing.T, waiting []checkpointd.Interrupt, question string) string {
	t.Helper()
	for _, one := range waiting {
		if one.Value == question {
			return one.ID
		}
	}
	t.Fatalf("%q does not wait: %+v", question, waiting)
	return ""
}

func TestAPythonGraphGoesOnWithAnAnswerFromGo(t *testing.T) {
	client, tenant := newClient(t)
	begun := python(t, tenant, "one", "t", "begin")
	waiting, err := client.Interrupts(t.Context(), "t")
	if err != nil || len(waiting) != 1 {
		t.Fatalf("%+v, %v", waiting, err)
	}
	question, _ := waiting[0].Value.(*portable.Object).Get("question")
	if _, isPythons := begun.Interrupts[waiting[0].ID]; question != "ship 8 cups?" || !isPythons || waiting[0].Answered {
		t.Errorf("%+v, begun %+v", waiting[0], begun)
	}
	if err := client.Answer(t.Context(), "t", "", map[string]any{"by": []any{"land", 3}}); err != nil {
		t.Fatal(err)
	}
	if waiting, err := client.Interrupts(t.Context(), "t"); err != nil || !waiting[0].Answered {
		t.Errorf("%+v, %v", waiting, err)
	}
	if err := client.Answer(t.Context(), "t", "", "again"); !errors.Is(err, checkpointd.ErrAnswered) {
		t.Errorf("%v", err)
	}
	ended := python(t, tenant, "one", "t")
	if !slices.Equal(ended.Values.Log, []string{"ship {'by': ['land', 3]}"}) || len(ended.Interrupts) != 0 {
		t.Errorf("%+v", ended)
	}
	if waiting, err := client.Interrupts(t.Context(), "t"); err != nil || len(waiting) != 0 {
		t.Errorf("%+v, %v", waiting, err)
	}
	if err := client.Answer(t.Context(), "t", "", 1); !errors.Is(err, checkpointd.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestSeveralInterruptsAreAnsweredByTheirIDs(t *testing.T) {
	for _, graph := range []string{"both", "nested"} {
		t.Run(graph, func(t *testing.T) {
			client, tenant := newClient(t)
			python(t, tenant, graph, "t", "begin")
			waiting, err := client.Interrupts(t.Context(), "t")
			if err != nil || len(waiting) != 2 {
				t.Fatalf("%+v, %v", waiting, err)
			}
			err = client.Answer(t.Context(), "t", "", "no")
			if !errors.Is(err, checkpointd.ErrAmbiguous) || !strings.Contains(err.Error(), waiting[1].ID) {
				t.Errorf("%v", err)
			}
			if err := client.Answer(t.Context(), "t", "somebody's", "no"); !errors.Is(err, checkpointd.ErrNotFound) {
				t.Errorf("%v", err)
			}
			left, right := byQuestion(t, waiting, "left?"), byQuestion(t, waiting, "right?")
			if err := client.Answer(t.Context(), "t", left, "from Go"); err != nil {
				t.Fatal(err)
			}
			if err := client.Answer(t.Context(), "t", left, "again"); !errors.Is(err, checkpointd.ErrAnswered) {
				t.Errorf("%v", err)
			}
			// The one that was not answered goes on waiting.
			half := python(t, tenant, graph, "t")
			if asked, waits := half.Interrupts[right]; !waits || asked != "right?" || len(half.Interrupts) != 1 {
				t.Fatalf("%+v", half)
			}
			if err := client.Answer(t.Context(), "t", right, "too"); err != nil {
				t.Fatal(err)
			}
			ended := python(t, tenant, graph, "t")
			slices.Sort(ended.Values.Log)
			if !slices.Equal(ended.Values.Log, []string{"left from Go", "right too"}) {
				t.Errorf("%+v", ended)
			}
		})
	}
}

func TestBothAreAnsweredBeforeTheGraphRuns(t *testing.T) {
	client, tenant := newClient(t)
	python(t, tenant, "both", "t", "begin")
	waiting, err := client.Interrupts(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range waiting {
		if err := client.Answer(t.Context(), "t", one.ID, "yes"); err != nil {
			t.Fatal(err)
		}
	}
	ended := python(t, tenant, "both", "t")
	slices.Sort(ended.Values.Log)
	if !slices.Equal(ended.Values.Log, []string{"left yes", "right yes"}) {
		t.Errorf("%+v", ended)
	}
}

func TestLaterQuestionsOfATaskAreAnsweredInTurn(t *testing.T) {
	client, tenant := newClient(t)
	python(t, tenant, "twice", "t", "begin")
	if err := client.Answer(t.Context(), "t", "", 8); err != nil {
		t.Fatal(err)
	}
	second := python(t, tenant, "twice", "t")
	waiting, err := client.Interrupts(t.Context(), "t")
	if err != nil || len(waiting) != 1 || waiting[0].Value != "where to?" || waiting[0].Answered {
		t.Fatalf("%+v, %v, %+v", waiting, err, second)
	}
	if err := client.Answer(t.Context(), "t", waiting[0].ID, "Oslo"); err != nil {
		t.Fatal(err)
	}
	if ended := python(t, tenant, "twice", "t"); !slices.Equal(ended.Values.Log, []string{"8 cups", "to Oslo"}) {
		t.Errorf("%+v", ended)
	}
}

func TestTheExampleApproves(t *testing.T) {
	_, tenant := newClient(t)
	python(t, tenant, "one", "t", "begin")
	output, err := exec.Command("go", "run", "./example/approve", "-server", address, "-tenant", tenant, "t", "true").CombinedOutput()
	if err != nil || !strings.Contains(string(output), `{"question":"ship 8 cups?"}`) {
		t.Fatalf("%s, %v", output, err)
	}
	if ended := python(t, tenant, "one", "t"); !slices.Equal(ended.Values.Log, []string{"ship True"}) {
		t.Errorf("%+v", ended)
	}
}

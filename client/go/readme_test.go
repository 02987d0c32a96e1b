package checkpointd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The program of the README runs, in a module of its own, and a graph in Python goes on with its answer.
func TestTheProgramOfTheReadme(t *testing.T) {
	_, tenant := newClient(t)
	python(t, tenant, "one", "8", "begin")
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	program := regexp.MustCompile("(?s)```go\n(package main.*?)```").FindSubmatch(readme)
	text := strings.NewReplacer("127.0.0.1:50051", address, `"default"`, `"`+tenant+`"`).Replace(string(program[1]))
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "main.go"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{
		"go mod init example",
		"go mod edit -require checkpointd@v0.1.0 -replace checkpointd=" + here,
		"go mod tidy",
		"go run .",
	} {
		words := strings.Fields(command)
		run := exec.Command(words[0], words[1:]...)
		run.Dir = home
		output, err := run.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %s, %v", command, output, err)
		}
		if command == "go run ." && !strings.Contains(string(output), `{"question":"ship 8 cups?"}`) {
			t.Error(string(output))
		}
	}
	if ended := python(t, tenant, "one", "8"); strings.Join(ended.Values.Log, "") != "ship True" {
		t.Errorf("%+v", ended)
	}
}

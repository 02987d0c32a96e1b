// Command generate makes the Go stubs in checkpointdv1 from the contract. Run it in the module's directory:
//
//	go run ./internal/generate         makes them
//	go run ./internal/generate -check  fails if they are not what the contract makes
//
// The plug-ins are the versions that go.mod pins; protoc is the one of the checkout's Python environment (`make env`).
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	// protos is the contract's directory, from the module's.
	protos = "../../protos"
	// python is the interpreter that has protoc, from the module's directory.
	python = "../../.venv/bin/python"
	// module is where the stubs are imported from, which the contract itself does not say.
	module = "checkpointd"
	// stubs is the stubs' package, from the module's directory.
	stubs = "checkpointdv1"
)

func main() {
	check := flag.Bool("check", false, "only compare the stubs that are there with what the contract makes")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	if !check {
		return generate(".")
	}
	made, err := os.MkdirTemp("", "checkpointd-generate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(made)
	if err := generate(made); err != nil {
		return err
	}
	fresh, err := contents(filepath.Join(made, stubs))
	if err != nil {
		return err
	}
	present, err := contents(stubs)
	if err != nil {
		return err
	}
	for name := range present {
		if _, needed := fresh[name]; !needed {
			return fmt.Errorf("%s/%s is not of the contract; delete it", stubs, name)
		}
	}
	for name, text := range fresh {
		if !bytes.Equal(text, present[name]) {
			return fmt.Errorf("%s/%s is not what the contract makes; run: go run ./internal/generate", stubs, name)
		}
	}
	return nil
}

// contents are the files of a directory, by name.
func contents(directory string) (map[string][]byte, error) {
	entries, err := os.ReadDir(directory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	texts := map[string][]byte{}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(directory, entry.Name()))
		if err != nil {
			return nil, err
		}
		texts[entry.Name()] = text
	}
	return texts, nil
}

// generate makes the stubs below a directory.
func generate(target string) error {
	plugins, err := os.MkdirTemp("", "checkpointd-plugins-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(plugins)
	if err := execute("go", "build", "-o", plugins+string(filepath.Separator), "tool"); err != nil {
		return err
	}
	sources, err := filepath.Glob(filepath.Join(protos, "checkpointd", "v1", "*.proto"))
	if err != nil {
		return err
	}
	if len(sources) == 0 {
		return fmt.Errorf("there is no contract in %s; run this in the module's directory, in a checkout", protos)
	}
	arguments := []string{"-m", "grpc_tools.protoc", "-I" + protos}
	for _, plugin := range []string{"go", "go-grpc"} {
		arguments = append(arguments,
			fmt.Sprintf("--plugin=protoc-gen-%s=%s", plugin, filepath.Join(plugins, "protoc-gen-"+plugin)),
			fmt.Sprintf("--%s_out=%s", plugin, target),
			fmt.Sprintf("--%s_opt=module=%s", plugin, module),
		)
		for _, source := range sources {
			name := "checkpointd/v1/" + filepath.Base(source)
			arguments = append(arguments, fmt.Sprintf("--%s_opt=M%s=%s/%s", plugin, name, module, stubs))
		}
	}
	return execute(python, append(arguments, sources...)...)
}

func execute(command string, arguments ...string) error {
	made := exec.Command(command, arguments...)
	made.Stdout, made.Stderr = os.Stderr, os.Stderr
	if err := made.Run(); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}

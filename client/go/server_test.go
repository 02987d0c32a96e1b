package checkpointd_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	checkpointd "checkpointd"
)

// address is that of a real server with a real PostgreSQL, which all tests share: each has a tenant of its own.
var address string

func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "checkpointd-go-")
	if err != nil {
		panic(err)
	}
	server, err := startServer(home)
	if err != nil {
		fmt.Fprintln(os.Stderr, "no server for the tests:", err)
		os.Exit(1)
	}
	address = server.address
	code := m.Run()
	server.stop()
	os.RemoveAll(home)
	os.Exit(code)
}

type serverProcess struct {
	*exec.Cmd
	address string
}

var listening = regexp.MustCompile(`listening on (\S+:\d+)`)

// startServer starts one with its data in a directory, and waits until it listens.
func startServer(home string, arguments ...string) (*serverProcess, error) {
	words := append(strings.Fields(program("CHECKPOINTD", "checkpointd")), "serve", "--listen", "127.0.0.1:0", "--data-dir", home)
	server := &serverProcess{Cmd: exec.Command(words[0], append(words[1:], arguments...)...)}
	server.Stderr = os.Stderr
	output, err := server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("%w; make it with `make env` in the checkout, or say where it is in CHECKPOINTD", err)
	}
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			server.address = found[1]
			go func() {
				for lines.Scan() {
				}
			}()
			return server, nil
		}
	}
	return nil, fmt.Errorf("checkpointd serve ended: %w", server.Wait())
}

func (s *serverProcess) stop() {
	_ = s.Process.Signal(syscall.SIGTERM)
	_ = s.Wait()
}

// program is what an environment variable says, or the checkout's, or the one on the PATH.
func program(variable, name string) string {
	if said := os.Getenv(variable); said != "" {
		return said
	}
	ours, _ := filepath.Abs(filepath.Join("..", "..", ".venv", "bin", name))
	if _, err := os.Stat(ours); err == nil {
		return ours
	}
	return name
}

var tenants atomic.Int64

// newClient gives a client with a tenant that no other test has, and the tenant.
func newClient(t *testing.T, options ...checkpointd.Option) (*checkpointd.Client, string) {
	t.Helper()
	tenant := fmt.Sprintf("go-%d", tenants.Add(1))
	return clientOf(t, address, append(options, checkpointd.WithTenant(tenant))...), tenant
}

func clientOf(t *testing.T, target string, options ...checkpointd.Option) *checkpointd.Client {
	t.Helper()
	client, err := checkpointd.New(target, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// ran is what a run of a Python graph ends or stops with.
type ran struct {
	Values     struct{ Log []string }
	Interrupts map[string]any
}

// python begins a thread of one of testdata's graphs, or goes on with it.
func python(t *testing.T, tenant, graph, thread string, begin ...string) ran {
	t.Helper()
	arguments := append([]string{"testdata/orders.py", address, tenant, graph, thread}, begin...)
	command := exec.Command(program("CHECKPOINTD_PYTHON", "python"), arguments...)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	var found ran
	if err := json.Unmarshal(output, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

func within(t *testing.T, timeout time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)
	return ctx
}

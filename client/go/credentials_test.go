package checkpointd_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	checkpointd "checkpointd"
	v1 "checkpointd/checkpointdv1"
)

// secured starts a server that asks who calls, and gives its address and a maker of keys.
func secured(t *testing.T) (string, func(...string) string) {
	t.Helper()
	home := t.TempDir()
	server, err := startServer(home, "--auth", "api-key")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.stop)
	return server.address, func(arguments ...string) string {
		words := append(strings.Fields(program("CHECKPOINTD", "checkpointd")), "admin-key", "--data-dir", home)
		output, err := exec.Command(words[0], append(words[1:], arguments...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(output))
	}
}

func TestCredentials(t *testing.T) {
	target, newKey := secured(t)
	ctx := within(t, 2*time.Minute)
	list := func(client *checkpointd.Client) error {
		_, err := client.Threads.ListThreads(ctx, &v1.ListThreadsRequest{})
		return err
	}
	reasonOf := func(t *testing.T, err error, reason string) {
		t.Helper()
		var told *checkpointd.Error
		if !errors.Is(err, checkpointd.ErrAccessDenied) || !errors.As(err, &told) || told.Reason != reason {
			t.Fatalf("got %v, want %s", err, reason)
		}
	}
	key := newKey("--tenant", "acme")

	t.Run("a token says who calls and whose data it is", func(t *testing.T) {
		admin := clientOf(t, target, checkpointd.WithToken(key))
		if err := list(admin); err != nil {
			t.Fatal(err)
		}
		made, err := admin.APIKeys.CreateApiKey(ctx, &v1.CreateApiKeyRequest{Role: v1.Role_ROLE_READ})
		if err != nil {
			t.Fatal(err)
		}
		reader := clientOf(t, target, checkpointd.WithToken(made.Secret))
		_, err = reader.Threads.DeleteThread(ctx, &v1.DeleteThreadRequest{ThreadId: "t"})
		reasonOf(t, err, "PERMISSION_DENIED")
		if strings.Contains(err.Error(), made.Secret) {
			t.Error("the error has the secret")
		}
		reasonOf(t, list(clientOf(t, target, checkpointd.WithToken(key), checkpointd.WithTenant("other"))), "PERMISSION_DENIED")
	})

	t.Run("without one nothing is told", func(t *testing.T) {
		reasonOf(t, list(clientOf(t, target)), "CREDENTIAL_MISSING")
		reasonOf(t, list(clientOf(t, target, checkpointd.WithToken("cpd_a_b"))), "CREDENTIAL_INVALID")
	})

	t.Run("a file is read again when it changes", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "token")
		write := func(token string, at time.Time) {
			if err := errors.Join(os.WriteFile(path, []byte(token+"\n"), 0o600), os.Chtimes(path, at, at)); err != nil {
				t.Fatal(err)
			}
		}
		write("cpd_a_b", time.Now().Add(-time.Hour))
		client := clientOf(t, target, checkpointd.WithTokenFile(path))
		reasonOf(t, list(client), "CREDENTIAL_INVALID")
		write(key, time.Now())
		if err := list(client); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(path)
		if err := list(client); !errors.Is(err, checkpointd.ErrInvalidRequest) {
			t.Fatal(err)
		}
	})

	t.Run("the environment says what the code does not", func(t *testing.T) {
		t.Setenv("CHECKPOINTD_TOKEN", key)
		if err := list(clientOf(t, target)); err != nil {
			t.Fatal(err)
		}
		t.Setenv("CHECKPOINTD_TLS", "perhaps")
		if _, err := checkpointd.New(target); !errors.Is(err, checkpointd.ErrInvalidRequest) {
			t.Fatal(err)
		}
	})
}

func TestATokenIsNotShownToEverybody(t *testing.T) {
	for _, target := range []string{"checkpoints.internal:50051", "ipv4:127.0.0.1:1,10.0.0.1:1", "127.0.0.1.example:1"} {
		if _, err := checkpointd.New(target, checkpointd.WithToken("secret")); !errors.Is(err, checkpointd.ErrInvalidRequest) {
			t.Errorf("%s: %v", target, err)
		}
		clientOf(t, target, checkpointd.WithToken("secret"), checkpointd.WithPlaintext())
	}
	for _, target := range []string{"localhost:1", "127.0.0.1:1", "[::1]:1", "unix:///run/checkpointd.sock"} {
		clientOf(t, target, checkpointd.WithToken("secret"))
	}
	client := clientOf(t, "127.0.0.1:1", checkpointd.WithTokenFunc(func(context.Context) (string, error) { return "a b", nil }))
	_, err := client.Threads.ListThreads(within(t, time.Minute), &v1.ListThreadsRequest{})
	if !errors.Is(err, checkpointd.ErrInvalidRequest) {
		t.Error(err)
	}
}

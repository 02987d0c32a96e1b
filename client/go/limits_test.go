package checkpointd_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	checkpointd "checkpointd"
	v1 "checkpointd/checkpointdv1"
)

// A server that has too much to do is left alone for a while, and then does what it was asked for.
func TestAServerWithTooMuchToDo(t *testing.T) {
	server, err := startServer(t.TempDir(), "--max-in-flight", "1")
	if err != nil {
		t.Fatal(err)
	}
	defer server.stop()
	client := clientOf(t, server.address)
	var all sync.WaitGroup
	failures := make([]error, 30)
	for number := range failures {
		all.Add(1)
		go func() {
			defer all.Done()
			failures[number] = put(t, client, fmt.Sprint("t", number), "c", "", strings.Repeat("x", 300_000))
		}()
	}
	all.Wait()
	for _, err := range failures {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestAQuotaOfOperations(t *testing.T) {
	client, _ := newClient(t)
	set := func(quota *v1.Quota) {
		t.Helper()
		if _, err := client.Limits.SetQuota(t.Context(), &v1.SetQuotaRequest{Quota: quota}); err != nil {
			t.Fatal(err)
		}
	}
	ten, none := int64(10), int64(0)
	set(&v1.Quota{MaxOpsPerSecond: &ten})
	began := time.Now()
	for range 25 {
		if _, err := client.Threads.ListThreads(t.Context(), &v1.ListThreadsRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	if spent := time.Since(began); spent < 1400*time.Millisecond {
		t.Errorf("25 calls, of 10 a second, took %s", spent)
	}
	set(&v1.Quota{MaxOpsPerSecond: &none})
	_, err := client.Threads.ListThreads(t.Context(), &v1.ListThreadsRequest{})
	var refused *checkpointd.Error
	if !errors.Is(err, checkpointd.ErrQuotaExceeded) || !errors.Is(err, checkpointd.ErrResourceExhausted) ||
		!errors.As(err, &refused) || refused.Metadata["quota"] != "ops_per_second" {
		t.Error(err)
	}
	set(nil)
}

//go:build cgo && !nocgo

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cachelora/cachelora/native/go/examples/proxy/chatcache"
)

func tiny(t *testing.T) settings {
	t.Helper()
	directory := os.Getenv("CACHELORA_TEST_TINY")
	if directory == "" {
		t.Fatal("CACHELORA_TEST_TINY names the directory that `python tests/tiny_bundle.py DIRECTORY` wrote; `make test-go` sets it")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return settings{
		bundle: filepath.Join(directory, "bundle"), upstream: "http://127.0.0.1:1", listen: listener.Addr().String(),
		maxFalseHitRate: 0.05, entries: 10, lifetime: time.Minute,
	}
}

func TestTheCommandServesUntilItIsToldToStop(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"choices":[{}]}`)
	}))
	defer upstream.Close()
	s := tiny(t)
	s.upstream = upstream.URL
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, s) }()
	for _, want := range []string{"miss", "hit"} {
		var response *http.Response
		var err error
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			response, err = http.Post("http://"+s.listen+"/v1/chat/completions", "application/json",
				strings.NewReader(`{"messages":[{"role":"user","content":"how"}]}`))
			if err == nil || time.Now().After(deadline) {
				break
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if found := response.Header.Get(chatcache.CacheHeader); found != want {
			t.Errorf("%s, want %s", found, want)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTheCommandSaysWhatIsWrong(t *testing.T) {
	for part, change := range map[string]func(*settings){
		"-upstream":       func(s *settings) { s.upstream = "localhost" },
		"no bundle found": func(s *settings) { s.bundle = "/nowhere" },
		"-threshold":      func(s *settings) { s.maxFalseHitRate = 0.001 },
		"-redis":          func(s *settings) { s.redis = "memcached://x" },
		"redis: ":         func(s *settings) { s.redis = "redis://127.0.0.1:1" },
		"listen":          func(s *settings) { s.listen = "127.0.0.1:-1" },
	} {
		s := tiny(t)
		change(&s)
		if err := run(context.Background(), s); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %q", err, part)
		}
	}
}

// Command proxy is a caching proxy in front of an OpenAI-compatible chat endpoint.
//
//	proxy -bundle DIR -upstream http://127.0.0.1:8000 [-listen 127.0.0.1:8801] [-redis redis://127.0.0.1:6379/0]
//
// Every answer says in X-Cachelora-Cache whether it was a hit, a miss or a bypass. A request chooses its domain,
// and so its threshold, with X-Cachelora-Domain. Counters are at /cachelora/stats.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	cachelora "github.com/cachelora/cachelora/native/go"
	"github.com/cachelora/cachelora/native/go/examples/proxy/chatcache"
	"github.com/cachelora/cachelora/native/go/models"
	"github.com/cachelora/cachelora/native/go/router"
)

type settings struct {
	bundle, upstream, listen, redis string
	maxFalseHitRate, threshold      float64
	entries                         int
	lifetime                        time.Duration
}

func main() {
	var s settings
	flag.StringVar(&s.bundle, "bundle", "", "the bundle's directory, or its name below CACHELORA_MODELS")
	flag.StringVar(&s.upstream, "upstream", "", "the chat endpoint's address, without /v1/chat/completions")
	flag.StringVar(&s.listen, "listen", "127.0.0.1:8801", "where to listen")
	flag.StringVar(&s.redis, "redis", "", "keep answers in this Redis server, version 8 or newer (redis://…), not in memory")
	flag.Float64Var(&s.maxFalseHitRate, "max-false-hit-rate", 0.05, "the budget by which the bundle's thresholds are chosen")
	flag.Float64Var(&s.threshold, "threshold", 0, "use this similarity for every domain, not the bundle's thresholds")
	flag.IntVar(&s.entries, "entries", 100_000, "how many answers are kept: in memory altogether, in Redis per scope")
	flag.DurationVar(&s.lifetime, "lifetime", time.Hour, "how long an answer is kept")
	flag.Parse()
	if flag.NArg() > 0 || s.bundle == "" || s.upstream == "" || s.entries < 1 || s.lifetime <= 0 || s.threshold < 0 || s.threshold > 1 {
		fmt.Fprintln(flag.CommandLine.Output(), "-bundle and -upstream are needed; -entries and -lifetime must be above 0, -threshold from 0 to 1")
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	upstream, err := url.Parse(s.upstream)
	if err != nil || upstream.Host == "" {
		return fmt.Errorf("-upstream %q: an address such as http://127.0.0.1:8000 was expected", s.upstream)
	}
	directory, err := models.Find(s.bundle)
	if err != nil {
		return err
	}
	embedder, err := cachelora.Open(directory)
	if err != nil {
		return err
	}
	defer embedder.Close()
	thresholds := func(domain string) (float32, error) { return embedder.Threshold(domain, s.maxFalseHitRate) }
	if s.threshold > 0 {
		thresholds = func(string) (float32, error) { return float32(s.threshold), nil }
	} else if _, err := thresholds("all"); err != nil {
		return fmt.Errorf("%w; or choose a -threshold", err)
	}
	provider := router.New(embedder, router.WithSpareProcs())
	defer provider.Close()

	var index chatcache.Index = chatcache.NewExact(s.entries, s.lifetime)
	if s.redis != "" {
		options, err := redis.ParseURL(s.redis)
		if err != nil {
			return fmt.Errorf("-redis: %w", err)
		}
		client := redis.NewClient(options)
		defer client.Close()
		if index, err = chatcache.NewRedis(ctx, client, embedder.Fingerprint(), s.entries, s.lifetime); err != nil {
			return err
		}
	}
	server := &http.Server{
		Addr: s.listen,
		Handler: chatcache.New(chatcache.Config{
			Upstream: upstream, Provider: provider, Fingerprint: embedder.Fingerprint(),
			Thresholds: thresholds, Index: index, Log: slog.Default(),
		}),
		ReadHeaderTimeout: 10 * time.Second,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	slog.Info("listening", "address", s.listen, "upstream", s.upstream, "bundle", directory, "fingerprint", embedder.Fingerprint())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	// Answers that are being streamed may end.
	last, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	if err := server.Shutdown(last); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Command demo shows the caching proxy with a small chat endpoint of its own, which thinks for half a second:
// some questions, their paraphrases and their near misses, each with what the cache said and how long it took.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"text/tabwriter"
	"time"

	cachelora "github.com/cachelora/cachelora/native/go"
	"github.com/cachelora/cachelora/native/go/examples/proxy/chatcache"
	"github.com/cachelora/cachelora/native/go/router"
)

const thinking = 500 * time.Millisecond

var questions = []struct {
	text   string
	stream bool
}{
	{text: "How can I reset my password?"},
	{text: "How can I reset my password?"},
	{text: "how can i reset my password"},
	{text: "I forgot my password, how do I set a new one?"},
	{text: "How can I cancel my card?"},
	{text: "How do I cancel my credit card?"},
	{text: "How can I reset my password?", stream: true},
	{text: "How can I reset my password?", stream: true},
}

func main() {
	bundle := flag.String("bundle", "", "the bundle's directory")
	rate := flag.Float64("max-false-hit-rate", 0.05, "the budget by which the bundle's threshold is chosen")
	threshold := flag.Float64("threshold", 0, "use this similarity, not the bundle's threshold")
	flag.Parse()
	if *bundle == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*bundle, *rate, float32(*threshold)); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(bundle string, rate float64, threshold float32) error {
	embedder, err := cachelora.Open(bundle)
	if err != nil {
		return err
	}
	defer embedder.Close()
	provider := router.New(embedder)
	defer provider.Close()

	upstream, err := serve(http.HandlerFunc(chat))
	if err != nil {
		return err
	}
	proxy := chatcache.New(chatcache.Config{
		Upstream: upstream, Provider: provider, Fingerprint: embedder.Fingerprint(), Log: slog.Default(),
		Thresholds: func(domain string) (float32, error) {
			if threshold > 0 {
				return threshold, nil
			}
			return embedder.Threshold(domain, rate)
		},
		Index: chatcache.NewExact(1000, time.Hour),
	})
	front, err := serve(proxy)
	if err != nil {
		return err
	}
	fmt.Printf("bundle %s, namespace %.12s…, proxy %s\n\n", bundle, embedder.Fingerprint(), front)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "cache\tsimilarity\tthreshold\tms\tstream\tquestion")
	for _, question := range questions {
		body, err := json.Marshal(map[string]any{
			"model": "demo", "stream": question.stream,
			"messages": []map[string]string{{"role": "user", "content": question.text}},
		})
		if err != nil {
			return err
		}
		started := time.Now()
		response, err := http.Post(front.String()+"/v1/chat/completions", "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%q: %s: %s", question.text, response.Status, answer)
		}
		got := response.Header
		fmt.Fprintf(table, "%s\t%s\t%s\t%.1f\t%v\t%s\n", got.Get(chatcache.CacheHeader), got.Get(chatcache.SimilarityHeader),
			got.Get(chatcache.ThresholdHeader), time.Since(started).Seconds()*1000, question.stream, question.text)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	stats := proxy.Stats()
	fmt.Printf("\n%d hits, %d misses\n", stats.Hits, stats.Misses)
	if stats.Hits == 0 || stats.Misses == 0 {
		return errors.New("hits and misses were expected")
	}
	return nil
}

// serve serves handler on the loopback as long as the program runs.
func serve(handler http.Handler) (*url.URL, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() { _ = http.Serve(listener, handler) }()
	return &url.URL{Scheme: "http", Host: listener.Addr().String()}, nil
}

// chat is a chat endpoint that says after a while what it was asked.
func chat(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Stream   bool                       `json:"stream"`
		Messages []struct{ Content string } `json:"messages"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || len(request.Messages) == 0 {
		http.Error(w, "a chat request was expected", http.StatusBadRequest)
		return
	}
	answer := "You asked: " + request.Messages[len(request.Messages)-1].Content
	if !request.Stream {
		time.Sleep(thinking)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"choices": []any{map[string]any{"index": 0, "message": map[string]string{"role": "assistant", "content": answer}}},
		})
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for _, word := range bytes.SplitAfter([]byte(answer), []byte(" ")) {
		time.Sleep(thinking / 10)
		chunk, _ := json.Marshal(map[string]any{"choices": []any{map[string]any{"index": 0, "delta": map[string]string{"content": string(word)}}}})
		fmt.Fprintf(w, "data: %s\n\n", chunk)
		w.(http.Flusher).Flush()
	}
	fmt.Fprint(w, "data: [DONE]\n\n")
}

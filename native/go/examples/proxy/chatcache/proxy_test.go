//go:build cgo && !nocgo

package chatcache

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cachelora "github.com/cachelora/cachelora/native/go"
	"github.com/cachelora/cachelora/native/go/router"
)

func openTiny(t *testing.T) *cachelora.Embedder {
	t.Helper()
	directory := os.Getenv("CACHELORA_TEST_TINY")
	if directory == "" {
		t.Fatal("CACHELORA_TEST_TINY names the directory that `python tests/tiny_bundle.py DIRECTORY` wrote; `make test-go` sets it")
	}
	embedder, err := cachelora.Open(filepath.Join(directory, "bundle"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { embedder.Close() })
	return embedder
}

// setup is a proxy in front of a chat endpoint, both real servers on the loopback.
type setup struct {
	t        *testing.T
	proxy    *Proxy
	url      string
	embedder *cachelora.Embedder
	asked    atomic.Int64
	// answer replaces the chat endpoint's answer where a test needs another one.
	answer http.HandlerFunc
}

func start(t *testing.T, index Index) *setup {
	t.Helper()
	s := &setup{t: t, embedder: openTiny(t)}
	upstream := httptest.NewServer(http.HandlerFunc(s.chat))
	t.Cleanup(upstream.Close)
	address, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	provider := router.New(s.embedder)
	t.Cleanup(func() { provider.Close() })
	s.proxy = New(Config{
		Upstream: address, Provider: provider, Fingerprint: s.embedder.Fingerprint(), Index: index, Log: slog.New(slog.DiscardHandler),
		Thresholds: func(domain string) (float32, error) { return s.embedder.Threshold(domain, 0.05) },
	})
	front := httptest.NewServer(s.proxy)
	t.Cleanup(front.Close)
	s.url = front.URL
	return s
}

func (s *setup) chat(w http.ResponseWriter, r *http.Request) {
	n := s.asked.Add(1)
	if s.answer != nil {
		s.answer(w, r)
		return
	}
	if r.URL.Path != chatPath {
		fmt.Fprintf(w, "%s %s", r.Method, r.URL.Path)
		return
	}
	body, _ := io.ReadAll(r.Body)
	if strings.Contains(string(body), `"stream":true`) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{\"content\":\"%d.%d\"}}]}\n\n", n, i)
			w.(http.Flusher).Flush()
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"choices":[{"message":{"role":"assistant","content":"answer %d"}}]}`, n)
}

func body(question string, more ...string) string {
	text, _ := json.Marshal(question)
	return fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":%s}]%s}`, text, strings.Join(append([]string{""}, more...), ","))
}

func (s *setup) post(body string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	request, err := http.NewRequest(http.MethodPost, s.url+chatPath, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response, string(answer)
}

func (s *setup) expect(what, body, want string, headers ...string) string {
	s.t.Helper()
	response, answer := s.post(body, headers...)
	if found := response.Header.Get(CacheHeader); found != want || response.StatusCode != http.StatusOK {
		s.t.Errorf("%s: %s, %q, want %s; %v", what, response.Status, found, want, response.Header)
	}
	return answer
}

// indexes are the indexes that every test of their behaviour runs with.
func indexes(t *testing.T, test func(t *testing.T, index Index)) {
	t.Run("memory", func(t *testing.T) { test(t, NewExact(100, time.Hour)) })
	t.Run("redis", func(t *testing.T) {
		index, err := NewRedis(context.Background(), redisClient(t), "fingerprint", 100, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		test(t, index)
	})
}

func TestAQuestionIsAnsweredOnce(t *testing.T) {
	indexes(t, func(t *testing.T, index Index) {
		s := start(t, index)
		first := s.expect("first", body("how can i reset my password"), "miss")
		response, second := s.post(body("how can i reset my password"))
		if second != first || s.asked.Load() != 1 {
			t.Errorf("%q, then %q; %d calls", first, second, s.asked.Load())
		}
		for name, want := range map[string]string{
			CacheHeader: "hit", SimilarityHeader: "1.000000", ThresholdHeader: "0.875000", DomainHeader: "all",
			NamespaceHeader: s.embedder.Fingerprint(), "Content-Type": "application/json", "Age": "0",
		} {
			if found := response.Header.Get(name); found != want {
				t.Errorf("%s: %q, want %q", name, found, want)
			}
		}
		if stats := s.proxy.Stats(); stats.Hits != 1 || stats.Misses != 1 || stats.Bypassed != 0 || stats.Router.Texts != 2 {
			t.Errorf("%+v", stats)
		}
	})
}

func TestTheThresholdDecides(t *testing.T) {
	indexes(t, func(t *testing.T, index Index) {
		s := start(t, index)
		stored, near := "how can i reset my password", "how can i cancel my card"
		s.expect("stored", body(stored), "miss")
		vectors, err := s.embedder.EmbedBatch(context.Background(), []string{stored, near})
		if err != nil {
			t.Fatal(err)
		}
		similarity := cachelora.Similarity(vectors[0], vectors[1])
		for _, step := range []float32{-1e-3, 1e-3} {
			s.proxy.config.Thresholds = func(string) (float32, error) { return similarity + step, nil }
			response, _ := s.post(body(near))
			if want := map[bool]string{true: "hit", false: "miss"}[step < 0]; response.Header.Get(CacheHeader) != want ||
				response.Header.Get(SimilarityHeader) != number(similarity) {
				t.Errorf("similarity %v, threshold %v: %v", similarity, similarity+step, response.Header)
			}
		}
	})
}

func TestOnlyTheQuestionMayDiffer(t *testing.T) {
	s := start(t, NewExact(100, time.Hour))
	const question = "how can i reset my password"
	plain := body(question)
	s.expect("plain", plain, "miss", "Authorization", "Bearer a")
	s.expect("the same", plain, "hit", "Authorization", "Bearer a")
	s.expect("other order of keys", `{"messages":[{"content":"`+question+`","role":"user"}],"model":"m"}`, "hit", "Authorization", "Bearer a")
	s.expect("parts", `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"`+question+`"}]}]}`, "hit", "Authorization", "Bearer a")
	s.expect("somebody else", plain, "miss", "Authorization", "Bearer b")
	s.expect("nobody", plain, "miss")
	for what, other := range map[string]string{
		"model":       strings.Replace(plain, `"m"`, `"n"`, 1),
		"temperature": body(question, `"temperature":0.5`),
		"stream":      body(question, `"stream":true`),
		"system":      strings.Replace(plain, `[`, `[{"role":"system","content":"be brief"},`, 1),
		"history":     strings.Replace(plain, `[`, `[{"role":"user","content":"a"},{"role":"assistant","content":"b"},`, 1),
	} {
		s.expect(what, other, "miss", "Authorization", "Bearer a")
		s.expect(what+" again", other, "hit", "Authorization", "Bearer a")
	}
}

func TestWhatIsNoQuestionIsPassedThrough(t *testing.T) {
	s := start(t, NewExact(100, time.Hour))
	for what, one := range map[string]string{
		"no JSON":      `how`,
		"two objects":  body("how") + "{}",
		"no messages":  `{"model":"m"}`,
		"assistant":    `{"messages":[{"role":"assistant","content":"how"}]}`,
		"tools":        body("how", `"tools":[{"type":"function"}]`),
		"picture":      `{"messages":[{"role":"user","content":[{"type":"text","text":"how"},{"type":"image_url","image_url":{}}]}]}`,
		"empty":        body("  "),
		"long":         body(strings.Repeat("how can i reset my password ", 40)),
		"wrong types":  `{"messages":"how"}`,
		"wrong types2": `{"messages":["how"]}`,
	} {
		for range 2 {
			response, answer := s.post(one)
			if response.Header.Get(CacheHeader) != "bypass" || response.Header.Get(BypassHeader) == "" || !strings.Contains(answer, "answer") {
				t.Errorf("%s: %v, %q", what, response.Header, answer)
			}
		}
	}
	s.expect("no-store", body("how"), "bypass", "Cache-Control", "no-store")
	s.expect("first", body("how"), "miss")

	response, err := http.Get(s.url + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if answer, _ := io.ReadAll(response.Body); string(answer) != "GET /v1/models" {
		t.Errorf("%q", answer)
	}
}

func TestDomainsHaveTheirOwnThresholds(t *testing.T) {
	s := start(t, NewExact(100, time.Hour))
	response, answer := s.post(body("how"), DomainHeader, "law")
	if response.StatusCode != http.StatusBadRequest || !strings.Contains(answer, "law") || s.asked.Load() != 0 {
		t.Errorf("a domain without a threshold: %s, %s", response.Status, answer)
	}
	s.proxy.config.Thresholds = func(domain string) (float32, error) {
		return map[string]float32{"all": 0.9, "medical": 0.99}[domain], nil
	}
	s.expect("all", body("how"), "miss")
	s.expect("medical", body("how"), "miss", DomainHeader, "medical")
	response, _ = s.post(body("how"), DomainHeader, "medical")
	if response.Header.Get(CacheHeader) != "hit" || response.Header.Get(ThresholdHeader) != "0.990000" || response.Header.Get(DomainHeader) != "medical" {
		t.Errorf("%v", response.Header)
	}
}

func TestAStreamIsPassedOnAsItComesAndReplayedAsItWas(t *testing.T) {
	indexes(t, func(t *testing.T, index Index) {
		s := start(t, index)
		next := make(chan struct{})
		s.answer = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for _, line := range []string{`{"choices":[{"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{"content":"b"}}]}`, `[DONE]`} {
				fmt.Fprintf(w, "data: %s\n\n", line)
				w.(http.Flusher).Flush()
				<-next
			}
		}
		response, err := http.Post(s.url+chatPath, "application/json", strings.NewReader(body("how", `"stream":true`)))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		lines, whole := bufio.NewReader(response.Body), ""
		for range 3 {
			// The endpoint waits until its line has come through.
			for range 2 {
				line, err := lines.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				whole += line
			}
			next <- struct{}{}
		}
		if _, err := lines.ReadByte(); err != io.EOF {
			t.Error(err)
		}
		response, again := s.post(body("how", `"stream":true`))
		if again != whole || response.Header.Get(CacheHeader) != "hit" || response.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%q, then %q; %v", whole, again, response.Header)
		}
	})
}

func TestWhatIsNoWholeAnswerIsNotStored(t *testing.T) {
	s := start(t, NewExact(100, time.Hour))
	for what, answer := range map[string]http.HandlerFunc{
		"failure": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, `{"choices":[1]}`, http.StatusTooManyRequests)
		},
		"error":     func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"error":{"message":"x"}}`) },
		"no choice": func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"choices":[]}`) },
		"no JSON":   func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `hello`) },
		"long": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"choices":["%s"]}`, strings.Repeat("a", answerLimit))
		},
		"half stream": func(w http.ResponseWriter, r *http.Request) { events(w, `{"choices":[1]}`) },
		"bad stream":  func(w http.ResponseWriter, r *http.Request) { events(w, `{"error":"x"}`, `[DONE]`) },
		"cut off": func(w http.ResponseWriter, r *http.Request) {
			events(w, `{"choices":[1]}`, `[DONE]`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		s.answer = answer
		for range 2 {
			request, err := http.Post(s.url+chatPath, "application/json", strings.NewReader(body("how", `"user":"`+what+`"`)))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, request.Body)
			request.Body.Close()
			if found := request.Header.Get(CacheHeader); found != "miss" {
				t.Errorf("%s: %s", what, found)
			}
		}
	}
}

func events(w http.ResponseWriter, lines ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, line := range lines {
		fmt.Fprintf(w, "data: %s\n\n", line)
	}
}

func TestManyClients(t *testing.T) {
	indexes(t, func(t *testing.T, index Index) {
		s := start(t, index)
		words := []string{"how", "can", "i", "reset", "my", "password", "law", "card"}
		var clients sync.WaitGroup
		for g := range 32 {
			clients.Add(1)
			go func() {
				defer clients.Done()
				for n := range 20 {
					response, answer := s.post(body(words[(g+n)%len(words)]))
					if response.StatusCode != http.StatusOK || !strings.Contains(answer, "answer ") {
						t.Errorf("%s, %s", response.Status, answer)
					}
				}
			}()
		}
		clients.Wait()
		stats := s.proxy.Stats()
		if stats.Hits+stats.Misses != 32*20 || stats.Misses != uint64(s.asked.Load()) || stats.Hits < 300 {
			t.Errorf("%+v, %d calls", stats, s.asked.Load())
		}
	})
}

func TestStats(t *testing.T) {
	s := start(t, NewExact(100, time.Hour))
	s.expect("first", body("how"), "miss")
	response, err := http.Get(s.url + statsPath)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var shown Stats
	if err := json.NewDecoder(response.Body).Decode(&shown); err != nil || shown.Misses != 1 || shown.Router.Texts != 1 {
		t.Errorf("%+v, %v", shown, err)
	}
}

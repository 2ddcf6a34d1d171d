// Package chatcache is a proxy in front of an OpenAI-compatible chat endpoint. A question that means the same
// as an earlier one gets the earlier one's answer; everything else is passed through.
//
// Only the last message of a request is compared by meaning. Everything else must be equal: model, earlier
// messages, parameters, whether the answer is streamed, the headers that say who asks, and the domain.
// Requests with tools, pictures, or a question that is longer than the bundle reads are passed through.
package chatcache

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	cachelora "github.com/cachelora/cachelora/native/go"
	"github.com/cachelora/cachelora/native/go/router"
)

// The headers of answers, and DomainHeader of requests too.
const (
	// CacheHeader is hit, miss or bypass.
	CacheHeader = "X-Cachelora-Cache"
	// BypassHeader says why a request was not looked up.
	BypassHeader = "X-Cachelora-Bypass"
	// SimilarityHeader is the cosine to the nearest earlier question, ThresholdHeader from where on it is a hit.
	SimilarityHeader = "X-Cachelora-Similarity"
	ThresholdHeader  = "X-Cachelora-Threshold"
	// DomainHeader is the domain whose threshold is used; without it "all".
	DomainHeader = "X-Cachelora-Domain"
	// NamespaceHeader is the bundle's fingerprint.
	NamespaceHeader = "X-Cachelora-Namespace"
)

const (
	chatPath      = "/v1/chat/completions"
	statsPath     = "/cachelora/stats"
	requestLimit  = 4 << 20
	answerLimit   = 1 << 20
	indexDeadline = 2 * time.Second
)

// Thresholds says from which similarity on an answer of a domain may be reused; a bundle's Embedder does with
// a budget.
type Thresholds func(domain string) (float32, error)

// Config is what a Proxy needs.
type Config struct {
	// Upstream is the chat endpoint, without its path /v1/chat/completions.
	Upstream *url.URL
	// Provider makes the vectors, Fingerprint is their namespace.
	Provider    *router.Provider
	Fingerprint string
	Thresholds  Thresholds
	Index       Index
	Log         *slog.Logger
}

// Stats are a Proxy's counters.
type Stats struct {
	Hits     uint64          `json:"hits"`
	Misses   uint64          `json:"misses"`
	Bypassed uint64          `json:"bypassed"`
	Router   router.Snapshot `json:"router"`
}

// Proxy is an http.Handler.
type Proxy struct {
	config                 Config
	pass                   *httputil.ReverseProxy
	hits, misses, bypassed atomic.Uint64
}

// New returns a Proxy.
func New(config Config) *Proxy {
	p := &Proxy{config: config}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// Answers are recorded as they are, for clients that may read other encodings.
	transport.DisableCompression = true
	p.pass = &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(config.Upstream)
			r.Out.Header.Del("Accept-Encoding")
			r.Out.Header.Del(DomainHeader)
		},
		ModifyResponse: p.record,
		ErrorLog:       slog.NewLogLogger(config.Log.Handler(), slog.LevelWarn),
	}
	return p
}

// Stats returns the counters.
func (p *Proxy) Stats() Stats {
	return Stats{p.hits.Load(), p.misses.Load(), p.bypassed.Load(), p.config.Provider.Snapshot()}
}

// ServeHTTP answers chat requests from the cache where it can, and passes everything else on.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == statsPath && r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p.Stats())
	case r.URL.Path == chatPath && r.Method == http.MethodPost:
		p.chat(w, r)
	default:
		p.pass.ServeHTTP(w, r)
	}
}

func (p *Proxy) chat(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestLimit))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body can't be read, or is longer than %d bytes: %v", requestLimit, err))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))

	domain := r.Header.Get(DomainHeader)
	if domain == "" {
		domain = "all"
	}
	threshold, err := p.config.Thresholds(domain)
	if err != nil {
		refuse(w, http.StatusBadRequest, DomainHeader+": "+err.Error())
		return
	}
	p.lookUp(w, r, body, domain, threshold)
}

// lookUp answers from the cache, or asks upstream. A cache that fails never fails the request.
func (p *Proxy) lookUp(w http.ResponseWriter, r *http.Request, body []byte, domain string, threshold float32) {
	if control := strings.ToLower(strings.Join(r.Header.Values("Cache-Control"), ",")); strings.Contains(control, "no-cache") || strings.Contains(control, "no-store") {
		p.bypass(w, r, "the request's Cache-Control")
		return
	}
	asked, err := read(body, r.Header, r.URL.Path, domain)
	if err != nil {
		p.bypass(w, r, err.Error())
		return
	}
	vector, info, err := p.config.Provider.EmbedWithInfo(r.Context(), asked.text)
	switch {
	case r.Context().Err() != nil:
		return
	case err != nil:
		p.config.Log.Warn("no vector", "error", err)
		p.bypass(w, r, reason(err))
		return
	case info.Truncated:
		p.bypass(w, r, "the question is longer than the bundle reads")
		return
	}
	within, stop := context.WithTimeout(r.Context(), indexDeadline)
	defer stop()
	nearest, similarity, found, err := p.config.Index.Nearest(within, asked.scope, vector)
	if err != nil {
		p.config.Log.Warn("the index failed", "error", err)
		p.bypass(w, r, "the index failed")
		return
	}

	header := w.Header()
	header.Set(NamespaceHeader, p.config.Fingerprint)
	header.Set(DomainHeader, domain)
	header.Set(ThresholdHeader, number(threshold))
	if found {
		header.Set(SimilarityHeader, number(similarity))
	}
	if found && similarity >= threshold {
		p.hits.Add(1)
		header.Set(CacheHeader, "hit")
		header.Set("Content-Type", nearest.ContentType)
		header.Set("Age", strconv.Itoa(int(time.Since(nearest.Stored).Seconds())))
		_, _ = w.Write(nearest.Body)
		return
	}
	p.misses.Add(1)
	header.Set(CacheHeader, "miss")
	p.pass.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), missKey{}, miss{asked, vector})))
}

func (p *Proxy) bypass(w http.ResponseWriter, r *http.Request, why string) {
	p.bypassed.Add(1)
	w.Header().Set(CacheHeader, "bypass")
	w.Header().Set(BypassHeader, strings.Map(printable, why))
	p.pass.ServeHTTP(w, r)
}

// miss is what is needed to store the answer that upstream is going to give.
type miss struct {
	question
	vector []float32
}

type missKey struct{}

// record stores upstream's answer to a miss, once it has been passed on as a whole.
func (p *Proxy) record(response *http.Response) error {
	for _, name := range []string{CacheHeader, BypassHeader, SimilarityHeader, ThresholdHeader, DomainHeader, NamespaceHeader} {
		response.Header.Del(name)
	}
	missed, ok := response.Request.Context().Value(missKey{}).(miss)
	if !ok || response.StatusCode != http.StatusOK || response.Header.Get("Content-Encoding") != "" {
		return nil
	}
	contentType := response.Header.Get("Content-Type")
	response.Body = &recording{ReadCloser: response.Body, limit: answerLimit, done: func(body []byte) {
		if !whole(contentType, body) {
			return
		}
		// The client may be gone as soon as it has the answer.
		ctx, stop := context.WithTimeout(context.WithoutCancel(response.Request.Context()), indexDeadline)
		defer stop()
		entry := Entry{missed.text, missed.vector, contentType, bytes.Clone(body), time.Now()}
		if err := p.config.Index.Add(ctx, missed.scope, entry); err != nil {
			p.config.Log.Warn("an answer was not stored", "error", err)
		}
	}}
	return nil
}

// reason is a short text for a header; the log has the whole error.
func reason(err error) string {
	switch {
	case errors.Is(err, router.ErrQueueFull):
		return "too many requests wait for a vector"
	case errors.Is(err, cachelora.ErrInvalidUTF8):
		return "the question is not UTF-8"
	default:
		return "the question has no vector"
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": message, "type": "invalid_request_error"}})
}

func number(x float32) string { return strconv.FormatFloat(float64(x), 'f', 6, 32) }

func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return ' '
	}
	return r
}

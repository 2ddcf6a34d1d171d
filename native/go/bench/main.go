// Command bench measures what Go adds to the encoder, on the machine at hand.
//
//		go run ./bench [--json] [--duration 10s] [--texts FILE] BUNDLE
//
//	  - overhead: one text of 16 tokens through [cachelora.Embedder.Embed] against the same call of the C library in a
//	    loop within C, in turns on one thread. Both use one handle, so both read one copy of the weights. The overhead is
//	    all that Go adds: the call through cgo, the reader's lock, the context, the new vector and its collection.
//	  - throughput: 64 goroutines through a router.Provider on two cores against one goroutine on one thread, in turns
//	    over the same texts. Processor seconds per text say what sharing costs where others use the machine too.
//	  - load: the times from arrival to answer at a given utilisation of that throughput, against queueing theory; see
//	    [measureLoad] for the method.
//
// Ratios are taken within each turn; a figure is a median with the 5th and 95th percentile. Leave the machine alone
// meanwhile: the load is the one measurement that a busy neighbour makes worthless.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	cachelora "github.com/cachelora/cachelora/native/go"
	"github.com/cachelora/cachelora/native/go/router"
)

// cores is how many the throughput and the load use.
const cores = 2

// What the project promises; a table shows each figure beside its target.
const (
	targetOverhead   = 0.05
	targetThroughput = 1.8
	targetLoad       = 3.0
)

type settings struct {
	bundle      string
	texts       string
	json        bool
	duration    time.Duration
	goroutines  int
	clock       string
	utilisation []float64
	seed        uint64
	spareProcs  bool
	maxBatch    int
}

// report is what --json prints.
type report struct {
	Machine    machine      `json:"machine"`
	Bundle     bundle       `json:"bundle"`
	Backend    string       `json:"backend"`
	Kernel     string       `json:"kernel"`
	Seconds    float64      `json:"seconds_per_measurement"`
	Texts      int          `json:"texts"`
	Tokens     tokenCounts  `json:"tokens"`
	Overhead   overhead     `json:"overhead"`
	Throughput throughput   `json:"throughput"`
	Closed     closedResult `json:"closed_load"`
	Load       []loadResult `json:"load"`
	SpareProcs bool         `json:"spare_procs"`
	MaxBatch   int          `json:"max_batch"`
}

type bundle struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
}

func main() {
	s, err := parse(os.Args[1:], os.Stderr)
	if err != nil {
		os.Exit(2)
	}
	if err := run(s, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func parse(arguments []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: bench [flags] BUNDLE")
		flags.PrintDefaults()
	}
	flags.BoolVar(&s.json, "json", false, "print all facts as JSON")
	flags.DurationVar(&s.duration, "duration", 10*time.Second, "about how long each measurement takes")
	flags.StringVar(&s.texts, "texts", "", "a `FILE` with a question a line, or JSON Lines with the key query, anchor, question or text; without it, questions of our own")
	flags.IntVar(&s.goroutines, "goroutines", 64, "how many share the two cores when the throughput is measured")
	flags.StringVar(&s.clock, "clock", "wall", "what the overhead is measured with: wall, or cpu, the thread's processor time without the garbage collector's own threads, for machines that others use too")
	utilisation := flags.String("utilisation", "0.5,0.7", "at which shares of the throughput the load is measured")
	flags.BoolVar(&s.spareProcs, "spare-procs", true, "give the router WithSpareProcs, as servers should; false shows why")
	flags.IntVar(&s.maxBatch, "max-batch", router.DefaultMaxBatch, "how many waiting texts the router computes together at most")
	flags.Uint64Var(&s.seed, "seed", 1, "of the arrivals")
	if err := flags.Parse(arguments); err != nil {
		return s, err
	}
	fail := func(format string, values ...any) (settings, error) {
		err := fmt.Errorf(format, values...)
		fmt.Fprintln(stderr, "error:", err)
		return s, err
	}
	for field := range strings.SplitSeq(*utilisation, ",") {
		share, err := strconv.ParseFloat(field, 64)
		if err != nil || !(share > 0 && share < 1) {
			return fail("--utilisation %q: numbers above 0 and below 1 were expected, with commas between them", *utilisation)
		}
		s.utilisation = append(s.utilisation, share)
	}
	if s.clock != "wall" && s.clock != "cpu" {
		return fail("--clock %q: wall or cpu was expected", s.clock)
	}
	if s.duration <= 0 || s.goroutines < 1 || s.maxBatch < 1 {
		return fail("--duration %v, --goroutines %d, --max-batch %d: more than nothing was expected", s.duration, s.goroutines, s.maxBatch)
	}
	if flags.NArg() != 1 {
		return fail("one BUNDLE was expected, a directory that `cachelora export` wrote")
	}
	s.bundle = flags.Arg(0)
	return s, nil
}

func run(s settings, out io.Writer) error {
	texts, err := readTexts(s.texts)
	if err != nil {
		return err
	}
	embedder, err := cachelora.Open(s.bundle)
	if err != nil {
		return err
	}
	defer embedder.Close()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
	found := report{
		Machine: describeMachine(),
		Bundle:  bundle{baseName(s.bundle), embedder.Fingerprint()},
		Backend: embedder.Backend(),
		Kernel:  embedder.Kernel(),
		Seconds: s.duration.Seconds(),
		Texts:   len(texts),

		SpareProcs: s.spareProcs,
		MaxBatch:   s.maxBatch,
	}
	if found.Tokens, err = countTokens(embedder, texts); err != nil {
		return err
	}
	if found.Overhead, err = measureOverhead(embedder, s.duration, s.clock == "cpu"); err != nil {
		return err
	}
	opts := []router.Option{router.WithMaxBatch(s.maxBatch)}
	if s.spareProcs {
		opts = append(opts, router.WithSpareProcs())
	}
	if found.Throughput, err = measureThroughput(embedder, texts, s.goroutines, s.duration, opts...); err != nil {
		return err
	}
	capacity := found.Throughput.Together.Median
	if found.Closed, err = measureClosed(embedder, texts, s.goroutines, capacity, s.duration, opts...); err != nil {
		return err
	}
	for _, share := range s.utilisation {
		load, err := measureLoad(embedder, texts, share, capacity, s.duration, s.seed, opts...)
		if err != nil {
			return err
		}
		found.Load = append(found.Load, load)
	}
	if s.json {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(found)
	}
	return found.print(out)
}

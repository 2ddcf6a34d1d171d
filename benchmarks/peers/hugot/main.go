// Command hugot is hugot as a peer: the bundle's layers and tokenizer through its pure Go backend. That one knows no
// ReduceSum, so pooling and scaling to length one are hugot's own.
//
// The protocol is described in benchmarks/peers/README.md.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/backends/simplego"
	"github.com/knights-analytics/hugot"
	"github.com/knights-analytics/hugot/pipelines"
	"golang.org/x/sys/unix"
)

const module = "github.com/knights-analytics/hugot"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 4 {
		return fmt.Errorf("%d arguments, not four: BUNDLE UNPOOLED BASE MAX_TOKENS", len(arguments))
	}
	// Its workers wait for each other for ever where they are as few as the one core that this process is pinned to, and
	// hugot has no option for them. So the backend that it asks for by this name is the same one without workers.
	backends.Register(simplego.BackendName, func(string) (backends.Backend, error) {
		return simplego.New("parallelism=0,ops_sequential")
	})
	// The backend prints its settings to stdout, which is for answers only.
	answers := os.Stdout
	os.Stdout = os.Stderr
	session, err := hugot.NewGoSession()
	if err != nil {
		return err
	}
	defer session.Destroy()
	pipeline, err := hugot.NewPipeline(session, hugot.FeatureExtractionConfig{
		ModelPath:    arguments[1],
		Name:         "peer",
		OnnxFilename: "model.onnx",
		Options:      []hugot.FeatureExtractionOption{pipelines.WithNormalization()},
	})
	if err != nil {
		return err
	}
	output := json.NewEncoder(answers)
	if err := output.Encode(map[string]string{"version": version(), "reads": "bundle"}); err != nil {
		return err
	}
	input := bufio.NewReader(os.Stdin)
	for {
		line, err := input.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		request, text, found := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !found {
			return fmt.Errorf("no tab in %q", line)
		}
		answer, err := serve(pipeline, request, text)
		if err != nil {
			return err
		}
		if err := output.Encode(answer); err != nil {
			return err
		}
	}
}

func serve(pipeline *pipelines.FeatureExtractionPipeline, request, text string) (any, error) {
	if request == "vector" {
		return encode(pipeline, text)
	}
	clock, count, _ := strings.Cut(request, " ")
	runs, err := strconv.Atoi(count)
	if err != nil || (clock != "wall" && clock != "cpu") {
		return nil, fmt.Errorf("no such request: %q", request)
	}
	times := make([]int64, runs)
	for i := range times {
		start, startCPU := time.Now(), processorTime()
		if _, err := encode(pipeline, text); err != nil {
			return nil, err
		}
		if clock == "wall" {
			times[i] = time.Since(start).Nanoseconds()
		} else {
			times[i] = processorTime() - startCPU
		}
	}
	return times, nil
}

func encode(pipeline *pipelines.FeatureExtractionPipeline, text string) ([]float32, error) {
	result, err := pipeline.RunPipeline([]string{text})
	if err != nil {
		return nil, err
	}
	return result.Embeddings[0], nil
}

// processorTime returns the nanoseconds of all threads of this process, its garbage collector's with them.
func processorTime() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &now); err != nil {
		panic(err)
	}
	return now.Nano()
}

func version() string {
	if info, found := debug.ReadBuildInfo(); found {
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				return strings.TrimPrefix(dependency.Version, "v")
			}
		}
	}
	return "unknown"
}

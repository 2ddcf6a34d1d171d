//go:build cgo && !nocgo

package chatcache

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisClient starts a Redis server for one test: the program that CACHELORA_TEST_REDIS names, or redis-server.
// Without vector sets in it the test is skipped, but their absence must be told.
func redisClient(t *testing.T) *redis.Client {
	t.Helper()
	program := os.Getenv("CACHELORA_TEST_REDIS")
	if program == "" {
		program = "redis-server"
	}
	program, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("no redis-server is installed; install Redis 8 or newer, or name it in CACHELORA_TEST_REDIS: %v", err)
	}
	// A socket's path may have 107 characters at most, which a test's own directory can exceed.
	directory, err := os.MkdirTemp("", "redis")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	socket := filepath.Join(directory, "socket")
	server := exec.Command(program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", directory)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	t.Cleanup(func() { client.Close() })
	for deadline := time.Now().Add(10 * time.Second); client.Ping(context.Background()).Err() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer", program)
		}
	}
	if err := client.VCard(context.Background(), "none").Err(); err != nil && strings.Contains(err.Error(), "unknown command") {
		_, err := NewRedis(context.Background(), client, "fingerprint", 1, time.Hour)
		if err == nil || !strings.Contains(err.Error(), "Redis 8") {
			t.Fatalf("a server without vector sets: %v", err)
		}
		t.Skipf("%s has no vector sets; Redis 8 or newer is needed, which CACHELORA_TEST_REDIS can name", program)
	}
	return client
}

func entry(question string, vector ...float32) Entry {
	return Entry{Question: question, Vector: vector, ContentType: "text/plain", Body: []byte("to " + question), Stored: time.Now()}
}

func TestTheNearestOfItsScopeIsFound(t *testing.T) {
	indexes(t, func(t *testing.T, index Index) {
		ctx := context.Background()
		if _, _, found, err := index.Nearest(ctx, "a", []float32{1, 0}); found || err != nil {
			t.Errorf("in an empty index: %v, %v", found, err)
		}
		stored := entry("east", 1, 0)
		for scope, one := range map[string]Entry{"a": stored, "b": entry("elsewhere", 0.8, 0.6)} {
			if err := index.Add(ctx, scope, one); err != nil {
				t.Fatal(err)
			}
		}
		if err := index.Add(ctx, "a", entry("north", 0, 1)); err != nil {
			t.Fatal(err)
		}
		found, similarity, ok, err := index.Nearest(ctx, "a", []float32{0.8, 0.6})
		if err != nil || !ok || similarity != 0.8 || found.Question != "east" || string(found.Body) != "to east" ||
			found.ContentType != "text/plain" || !slices.Equal(found.Vector, stored.Vector) || found.Stored.UnixMilli() != stored.Stored.UnixMilli() {
			t.Errorf("%+v, %v, %v, %v", found, similarity, ok, err)
		}
		// The same question again takes the older one's place.
		newer := stored
		newer.Body = []byte("newer")
		if err := index.Add(ctx, "a", newer); err != nil {
			t.Fatal(err)
		}
		if found, _, _, _ := index.Nearest(ctx, "a", []float32{1, 0}); string(found.Body) != "newer" {
			t.Errorf("%s", found.Body)
		}
	})
}

func TestTheLongestUnusedMakesRoom(t *testing.T) {
	index := NewExact(3, time.Hour)
	ctx := context.Background()
	vectors := [][]float32{{1, 0}, {0, 1}, {-1, 0}, {0, -1}}
	for i, vector := range vectors[:3] {
		_ = index.Add(ctx, "a", entry(fmt.Sprint(i), vector...))
	}
	_, _, _, _ = index.Nearest(ctx, "a", vectors[0])
	_ = index.Add(ctx, "b", entry("3", vectors[3]...))
	if found, _, _, _ := index.Nearest(ctx, "a", vectors[0]); found.Question != "0" {
		t.Errorf("%+v was forgotten, %+v found", vectors[0], found)
	}
	if found, _, _, _ := index.Nearest(ctx, "a", vectors[1]); found.Question == "1" {
		t.Error("the longest unused is still there")
	}
}

func TestAnswersHaveALifetime(t *testing.T) {
	ctx := context.Background()
	const lifetime = 50 * time.Millisecond
	check := func(t *testing.T, index Index) {
		if err := index.Add(ctx, "a", entry("how", 1, 0)); err != nil {
			t.Fatal(err)
		}
		if _, _, found, err := index.Nearest(ctx, "a", []float32{1, 0}); !found || err != nil {
			t.Errorf("at once: %v, %v", found, err)
		}
		time.Sleep(3 * lifetime)
		if _, _, found, err := index.Nearest(ctx, "a", []float32{1, 0}); found || err != nil {
			t.Errorf("afterwards: %v, %v", found, err)
		}
	}
	t.Run("memory", func(t *testing.T) { check(t, NewExact(10, lifetime)) })
	t.Run("redis", func(t *testing.T) {
		index, err := NewRedis(ctx, redisClient(t), "fingerprint", 10, lifetime)
		if err != nil {
			t.Fatal(err)
		}
		check(t, index)
	})
}

func TestRedisKeepsItsBounds(t *testing.T) {
	ctx := context.Background()
	client := redisClient(t)
	index, err := NewRedis(ctx, client, "fingerprint", 5, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := index.Add(ctx, "a", entry(fmt.Sprint(i), float32(i), 1)); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := client.Keys(ctx, "*").Result()
	if err != nil || len(keys) != 1+5 {
		t.Errorf("%d keys: %v, %v", len(keys), keys, err)
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, "cachelora:fingerprint:") {
			t.Errorf("%s is outside of its namespace", key)
		}
		if client.TTL(ctx, key).Val() <= 0 {
			t.Errorf("%s is never forgotten", key)
		}
	}
	// A vector whose answer is gone is cleared away, and the next nearest is found.
	for _, key := range keys {
		if strings.Contains(key, ":answer:") && client.Exists(ctx, key).Val() == 1 && client.Keys(ctx, "*:answer:*").Val()[0] != key {
			client.Del(ctx, key)
		}
	}
	if _, _, found, err := index.Nearest(ctx, "a", []float32{1, 0}); !found || err != nil {
		t.Errorf("%v, %v", found, err)
	}
	if count := client.VCard(ctx, index.setKey("a")).Val(); count != 1 {
		t.Errorf("%d vectors", count)
	}
	// Another bundle's vectors never meet these.
	other, err := NewRedis(ctx, client, "other", 5, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, found, err := other.Nearest(ctx, "a", []float32{1, 0}); found || err != nil {
		t.Errorf("%v, %v", found, err)
	}
}

func TestAServerThatIsGoneFailsNoRequest(t *testing.T) {
	client := redisClient(t)
	index, err := NewRedis(context.Background(), client, "fingerprint", 5, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, index)
	s.expect("stored", body("how"), "miss")
	client.Shutdown(context.Background())
	s.expect("afterwards", body("how"), "bypass")
	if _, err := NewRedis(context.Background(), client, "fingerprint", 5, time.Hour); err == nil {
		t.Error("a server that does not answer was accepted")
	}
}

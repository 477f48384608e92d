// Version, build, devices, the log.
package fp6llm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math"
	"os"
	"strings"
	"sync"
	"testing"

	"fp6llm/internal/capi"
)

func TestVersionAndBuild(t *testing.T) {
	if expected := fmt.Sprintf("%d.%d.%d", capi.VERSION_MAJOR, capi.VERSION_MINOR, capi.VERSION_PATCH); Version() != expected {
		t.Errorf("version %s, of the header %s", Version(), expected)
	}
	text, err := BuildInfo()
	var info map[string]any
	if err != nil || json.Unmarshal([]byte(text), &info) != nil || info["version"] != Version() {
		t.Errorf("%v, %s", err, text)
	}
}

func TestDevices(t *testing.T) {
	if count, err := DeviceCount(CPU); count != 1 || err != nil {
		t.Error(count, err)
	}
	info, err := Device(CPU, 0)
	if err != nil || info.Backend != CPU || info.Name == "" || info.ISA == "" || info.Multiprocessors < 1 ||
		info.TotalMemory == 0 || strings.ContainsRune(info.Name, 0) {
		t.Errorf("%+v, %v", info, err)
	}
	for _, bad := range []struct {
		backend Backend
		ordinal int
	}{{CPU, 1}, {CPU, -1}, {AutoBackend, 0}, {Backend(9), 0}, {CPU, 1 << 32}, {CPU, math.MinInt}} {
		if _, err := Device(bad.backend, bad.ordinal); !errors.Is(err, ErrInvalidValue) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if _, err := DeviceCount(9); !errors.Is(err, ErrInvalidValue) {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	for name, value := range map[string]fmt.Stringer{
		"CPU": CPU, "CUDA": CUDA, "auto": AutoBackend, "Backend(9)": Backend(9), "E3M2": Format(0),
		"E2M3": E2M3, "Format(5)": Format(5), "R_16BF": R16BF, "DataType(-1)": DataType(-1),
		"WARNING": LogWarning, "LogLevel(7)": LogLevel(7),
	} {
		if value.String() != name {
			t.Errorf("%v, expected %s", value, name)
		}
	}
}

func TestLogger(t *testing.T) {
	h := newCPUHandle(t)
	var mutex sync.Mutex
	messages := map[LogLevel][]string{}
	err := SetLogger(func(level LogLevel, message string) {
		mutex.Lock()
		defer mutex.Unlock()
		messages[level] = append(messages[level], message)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer SetLogger(nil)
	inParallel(8, func(int) { h.SetThreads(999) })
	if err := SetLogger(nil); err != nil {
		t.Fatal(err)
	}
	h.SetThreads(998)
	mutex.Lock()
	defer mutex.Unlock()
	if len(messages[LogError]) != 8 {
		t.Fatalf("%v", messages)
	}
	for _, message := range messages[LogError] {
		if !strings.Contains(message, "999") {
			t.Errorf("%q", message)
		}
	}
}

func TestAPanicInTheLoggerStaysThere(t *testing.T) {
	h := newCPUHandle(t)
	var written bytes.Buffer
	log.SetOutput(&written)
	defer log.SetOutput(os.Stderr)
	if err := SetLogger(func(LogLevel, string) { panic("at the disco") }); err != nil {
		t.Fatal(err)
	}
	defer SetLogger(nil)
	if err := h.SetThreads(999); !errors.Is(err, ErrInvalidValue) {
		t.Error(err)
	}
	if err := SetLogger(nil); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(written.String(), "at the disco") {
		t.Errorf("the log has %q", written.String())
	}
	if err := h.SetThreads(1); err != nil {
		t.Error(err)
	}
}

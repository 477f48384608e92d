// The structs of types.go against C's: the file that FP6LLM_LAYOUT names holds what a C compiler says
// (tests/bindings/generate_layout_probe.py); every struct and field of it must be here, in its place.
package capi

import (
	"bufio"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"
	"testing"
)

var structs = []any{
	HandleConfig{}, DeviceInfo{}, QuantConfig{}, QuantStats{}, WeightInfo{}, Epilogue{}, HeuristicResult{},
}

func TestStructsHaveTheLayoutOfC(t *testing.T) {
	path := os.Getenv("FP6LLM_LAYOUT")
	if path == "" {
		t.Skip("FP6LLM_LAYOUT names no file with C's layout; CTest's bindings.go does")
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var expected []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		expected = append(expected, lines.Text())
	}

	var found []string
	for _, value := range structs {
		kind := reflect.TypeOf(value)
		name := "fp6llm" + kind.Name() + "_t"
		found = append(found, fmt.Sprintf("%s %d", name, kind.Size()))
		for i := range kind.NumField() {
			field := kind.Field(i)
			found = append(found, fmt.Sprintf("%s.%s %d %d", name,
				strings.ToLower(field.Name[:1])+field.Name[1:], field.Offset, field.Type.Size()))
		}
	}

	sort.Strings(expected)
	sort.Strings(found)
	if len(expected) < len(structs) || !reflect.DeepEqual(expected, found) {
		t.Errorf("C has\n%s\nGo has\n%s", strings.Join(expected, "\n"), strings.Join(found, "\n"))
	}
}

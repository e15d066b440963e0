package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestStopLetsRequestsEnd asks a serving process to stop (SIGTERM) while it reads a
// request: that one is answered, new ones are not let in, and the exit code is 0.
func TestStopLetsRequestsEnd(t *testing.T) {
	folder := prepareSchool(t)
	cmd := exec.CommandContext(t.Context(), build(t), "serve", "--listen", "127.0.0.1:0",
		"--database", filepath.Join(folder, "hub.db"), "--profile", filepath.Join(folder, "profile.yaml"))
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	must(t, err)
	_, address, _ := strings.Cut(strings.TrimSpace(first), "http://")

	conn, err := net.Dial("tcp", address)
	must(t, err)
	defer conn.Close()
	const body = `{"filter": 1}`
	fmt.Fprintf(conn, "POST /api/morango/v1/syncsessions/ HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(body))
	answers := bufio.NewReader(conn)
	line, err := answers.ReadString('\n') // it comes when the handler reads the body
	must(t, err)
	if !strings.Contains(line, "100 Continue") {
		t.Fatalf("the server said %q", line)
	}
	_, err = answers.ReadString('\n')
	must(t, err)

	must(t, cmd.Process.Signal(syscall.SIGTERM))
	stopping, err := lines.ReadString('\n')
	must(t, err)
	if !strings.HasPrefix(stopping, "Stopping") {
		t.Errorf("the process said %q", stopping)
	}
	_, err = io.WriteString(conn, body)
	must(t, err)
	answer, err := http.ReadResponse(answers, nil)
	must(t, err)
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("the running request was answered with %s", answer.Status)
	}
	_, err = io.Copy(io.Discard, lines)
	must(t, err)
	must(t, cmd.Wait())
	if late, err := net.Dial("tcp", address); err == nil {
		late.Close()
		t.Error("the stopped server still takes connections")
	}
}

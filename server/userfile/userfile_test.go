package userfile_test

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/morango-go/morango/server"
	"github.com/morango-go/morango/server/userfile"
)

func add(t *testing.T, path string, a userfile.Account, password string, replace bool) {
	t.Helper()
	if err := userfile.Add(path, a, password, replace, rand.Reader); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) *userfile.File {
	t.Helper()
	f, err := userfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func login(t *testing.T, f *userfile.File, name, password string) (server.User, error) {
	t.Helper()
	return f.Authenticate(t.Context(), map[string]string{"username": name, "facility": "x"}, password)
}

func TestAddAndAuthenticate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	add(t, path, userfile.Account{Name: "bob"}, "pass word:1", false)
	add(t, path, userfile.Account{Name: "ann", Scopes: []string{"single-user", "other"}, Params: map[string]string{"dataset_id": "d", "x": "1=2"}}, "geheim", false)
	f := open(t, path)
	bob, err := login(t, f, "bob", "pass word:1")
	if err != nil || !bob.MayCertify("anything", map[string]any{"a": 1}) {
		t.Errorf("bob: %v", err)
	}
	ann, err := login(t, f, "ann", "geheim")
	if err != nil {
		t.Fatal(err)
	}
	for scope, want := range map[string]bool{"single-user": true, "other": true, "full": false} {
		if got := ann.MayCertify(scope, map[string]any{"dataset_id": "d", "x": "1=2", "user_id": "u"}); got != want {
			t.Errorf("ann, scope %s: %v", scope, got)
		}
	}
	for _, params := range []map[string]any{{}, {"dataset_id": "e", "x": "1=2"}, {"dataset_id": "d", "x": 1}, nil} {
		if ann.MayCertify("other", params) {
			t.Errorf("ann may have %v", params)
		}
	}
	for _, wrong := range [][2]string{{"bob", "geheim"}, {"bob", ""}, {"nobody", "pass word:1"}, {"", ""}, {"Bob", "pass word:1"}} {
		if user, err := login(t, f, wrong[0], wrong[1]); !errors.Is(err, server.ErrCredentials) || user != nil {
			t.Errorf("%v: %v, %v", wrong, user, err)
		}
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestReplaceKeepsTheRest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte("# our people\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	add(t, path, userfile.Account{Name: "bob"}, "one", false)
	add(t, path, userfile.Account{Name: "ann"}, "two", false)
	if err := userfile.Add(path, userfile.Account{Name: "bob"}, "three", false, rand.Reader); !errors.Is(err, userfile.ErrExists) {
		t.Errorf("bob twice: %v", err)
	}
	add(t, path, userfile.Account{Name: "bob"}, "three", true)
	f := open(t, path)
	for name, password := range map[string]string{"bob": "three", "ann": "two"} {
		if _, err := login(t, f, name, password); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := login(t, f, "bob", "one"); !errors.Is(err, server.ErrCredentials) {
		t.Errorf("the old password: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), "# our people\n\n") || strings.Count(string(text), "\n") != 4 {
		t.Errorf("%v:\n%s", err, text)
	}
}

// A change counts at once; a file that cannot be read lets nobody in.
func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-age)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	write("", 3*time.Hour)
	f := open(t, path)
	if _, err := login(t, f, "bob", "secret"); !errors.Is(err, server.ErrCredentials) {
		t.Errorf("empty file: %v", err)
	}
	write("bob:"+string(hash)+"\n", 2*time.Hour)
	if _, err := login(t, f, "bob", "secret"); err != nil {
		t.Errorf("bcrypt: %v", err)
	}
	if _, err := login(t, f, "bob", "Secret"); !errors.Is(err, server.ErrCredentials) {
		t.Errorf("bcrypt: %v", err)
	}
	write("bob:"+string(hash)+"\nrubbish\n", time.Hour)
	if _, err := login(t, f, "bob", "secret"); err == nil || errors.Is(err, server.ErrCredentials) || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("broken file: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := login(t, f, "bob", "secret"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestBadFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	good := "$argon2id$v=19$m=64,t=1,p=1$MTIzNDU2Nzg$MTIzNDU2NzgxMjM0NTY3OA"
	for text, want := range map[string]string{
		"bob":                           "want name:hash",
		"bob:secret":                    "neither argon2id",
		"bob:$2a$99$x":                  "neither argon2id",
		":" + good:                      "user name",
		"a b:" + good:                   "user name",
		"a=b:" + good:                   "user name",
		"bob:" + good + "\nbob:" + good: "line 2: user \"bob\" stands there twice",
		"bob:" + good + "::x":           "is no key=value",
		"bob:" + good + ":a:b=c:d":      "want name:hash",
		"bob:" + strings.Replace(good, "m=64", "m=4000000000", 1): "out of bounds",
		"bob:" + strings.Replace(good, "t=1", "t=100000", 1):      "out of bounds",
		"bob:" + strings.Replace(good, "p=1", "p=300", 1):         "neither argon2id",
		"bob:" + strings.Replace(good, "argon2id", "argon2i", 1):  "neither argon2id",
		"bob:" + strings.Replace(good, "MTIzNDU2Nzg$", "MTI$", 1): "neither argon2id",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := userfile.Open(path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "MTIz") {
			t.Errorf("the error shows the hash: %v", err)
		}
	}
	if _, err := userfile.Open(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "morango user add") {
		t.Errorf("no file: %v", err)
	}
	for _, bad := range []userfile.Account{
		{Name: ""}, {Name: "a:b"}, {Name: "#a"}, {Name: "a", Scopes: []string{"x:y"}}, {Name: "a", Scopes: []string{""}},
		{Name: "a", Params: map[string]string{"k": "a,b"}}, {Name: "a", Params: map[string]string{"k=": "v"}},
	} {
		if err := userfile.Add(path+"2", bad, "p", false, rand.Reader); err == nil {
			t.Errorf("%+v was added", bad)
		}
	}
	if err := userfile.Add(path+"2", userfile.Account{Name: "a"}, "", false, rand.Reader); err == nil {
		t.Error("an empty password was taken")
	}
}

func FuzzOpen(f *testing.F) {
	f.Add("bob:$argon2id$v=19$m=64,t=1,p=1$MTIzNDU2Nzg$MTIzNDU2NzgxMjM0NTY3OA:a,b:c=d\n# x\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "users")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := userfile.Open(path); err != nil && !strings.Contains(err.Error(), "users file") {
			t.Fatalf("an error that does not say what it is about: %v", err)
		}
	})
}

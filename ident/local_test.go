package ident_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"strings"
	"testing"

	"github.com/morango-go/morango/ident"
)

// machine is a machine made up of what it answers. What it does not know is an error.
type machine struct {
	os       string
	env      map[string]string
	files    map[string]string
	commands map[string]string // by the whole command line
	links    []net.Interface
	noLinks  bool
}

func (m machine) sources() ident.Sources {
	return ident.Sources{
		OS:     m.os,
		Getenv: func(name string) string { return m.env[name] },
		ReadFile: func(name string) ([]byte, error) {
			if text, ok := m.files[name]; ok {
				return []byte(text), nil
			}
			return nil, fs.ErrNotExist
		},
		Output: func(ctx context.Context, name string, args ...string) ([]byte, error) {
			if text, ok := m.commands[strings.Join(append([]string{name}, args...), " ")]; ok {
				return []byte(text), ctx.Err()
			}
			return nil, errors.New("no such command")
		},
		Interfaces: func() ([]net.Interface, error) {
			if m.noLinks {
				return nil, errors.New("not permitted")
			}
			return m.links, nil
		},
	}
}

func TestSystemIDBySystem(t *testing.T) {
	ioreg := "+-o J313AP  <class IOPlatformExpertDevice>\n  \"IOPlatformSerialNumber\" = \"C02\"\n  \"IOPlatformUUID\" = \"AAAA-BBBB\"\n"
	wmic := "wmic csproduct get UUID"
	disk := "wmic DISKDRIVE get SerialNumber"
	for name, c := range map[string]struct {
		machine
		serial string // "" when none is found
	}{
		"linux":                  {machine{os: "linux", files: map[string]string{"/etc/machine-id": " 0123abcd\n"}}, "0123abcd"},
		"linux without":          {machine{os: "linux"}, ""},
		"linux, short override":  {machine{os: "linux", env: map[string]string{"MORANGO_SYSTEM_ID": " x "}, files: map[string]string{"/etc/machine-id": "id\n"}}, "id"},
		"override":               {machine{os: "linux", env: map[string]string{"MORANGO_SYSTEM_ID": " abc"}, files: map[string]string{"/etc/machine-id": "id\n"}}, " abc"},
		"mac":                    {machine{os: "darwin", commands: map[string]string{"ioreg -rd1 -c IOPlatformExpertDevice": ioreg}}, "AAAA-BBBB"},
		"mac without":            {machine{os: "darwin"}, ""},
		"windows":                {machine{os: "windows", commands: map[string]string{wmic: "UUID\r\r\n4C4C-0001  \r\r\n"}}, "4C4C-0001"},
		"windows, disk":          {machine{os: "windows", commands: map[string]string{wmic: "UUID\r\nFFFF-FFFF\r\n", disk: "SerialNumber\r\nWD-1\r\n"}}, "WD-1"},
		"windows without":        {machine{os: "windows", commands: map[string]string{wmic: "UUID\r\n", disk: ""}}, ""},
		"android":                {machine{os: "android", commands: map[string]string{"getprop ro.serialno": "\n", "getprop ril.serialnumber": "R58\n"}}, "R58"},
		"android by environment": {machine{os: "linux", env: map[string]string{"ANDROID_ARGUMENT": "/data"}, commands: map[string]string{"getprop ro.boot.serialno": "Z9"}}, "Z9"},
		"another system":         {machine{os: "plan9"}, ""},
	} {
		system, _ := ident.Local(t.Context(), c.sources())
		if system != ident.Salted(c.serial) {
			t.Errorf("%s: system id %q is not that of %q", name, system, c.serial)
		}
	}
}

func TestNodeIDOfInterfaces(t *testing.T) {
	link := func(name, address string) net.Interface {
		i := net.Interface{Name: name}
		if address != "" {
			hardware, err := net.ParseMAC(address)
			if err != nil {
				t.Fatal(err)
			}
			i.HardwareAddr = hardware
		}
		return i
	}
	infiniband := "00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01"
	for name, c := range map[string]struct {
		machine
		address string
	}{
		"wired before wireless": {machine{links: []net.Interface{link("lo", ""), link("wlan0", "00:00:5e:00:53:01"), link("eth0", "00:00:5e:00:53:02")}}, "00:00:5e:00:53:02"},
		"not a container's":     {machine{links: []net.Interface{link("eth0", "02:42:ac:11:00:02"), link("wlan0", "00:00:5e:00:53:01")}}, "00:00:5e:00:53:01"},
		"fallback":              {machine{links: []net.Interface{link("lo", "00:00:00:00:00:00"), link("eth1", "02:42:ac:11:00:02"), link("eth0", "02:42:ac:11:00:01")}}, "02:42:ac:11:00:02"},
		"override":              {machine{env: map[string]string{"MORANGO_NODE_ID": "school-1"}, links: []net.Interface{link("eth0", "00:00:5e:00:53:02")}}, "school-1"},
		"not Ethernet":          {machine{links: []net.Interface{link("ib0", infiniband)}}, ""},
		"none":                  {machine{}, ""},
		"not told":              {machine{noLinks: true}, ""},
	} {
		_, node := ident.Local(t.Context(), c.sources())
		if node != ident.Salted(c.address) {
			t.Errorf("%s: node id %q is not that of %q", name, node, c.address)
		}
	}
}

// This machine, whatever it is, has one identity.
func TestThisMachine(t *testing.T) {
	system, node := ident.Local(t.Context(), ident.System())
	for _, id := range []string{system, node} {
		if id != "" && (len(id) != 20 || strings.Trim(id, "0123456789abcdef") != "") {
			t.Errorf("id %q", id)
		}
	}
	if again, same := ident.Local(t.Context(), ident.System()); again != system || same != node {
		t.Errorf("asked again: %q, %q instead of %q, %q", again, same, system, node)
	}
}

package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// clientIP is the address of the client: of the connection, or where that is a
// trusted proxy's, the last one in X-Forwarded-For that is not.
func (s *Server) clientIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return ""
	}
	address = address.Unmap().WithZone("")
	if !s.trusted(address) {
		return address.String()
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		address = hop.Unmap().WithZone("")
		if !s.trusted(address) {
			break
		}
	}
	return address.String()
}

func (s *Server) trusted(address netip.Addr) bool {
	for _, network := range s.proxies {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// origin is scheme and host of the server as the client sees them.
func (s *Server) origin(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		if address, err := netip.ParseAddr(host); err == nil && s.trusted(address.Unmap().WithZone("")) {
			if proto := r.Header.Get("X-Forwarded-Proto"); proto == "https" || proto == "http" {
				scheme = proto
			}
		}
	}
	return scheme + "://" + r.Host
}

package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// maxAdminBody bounds a request to the admin endpoint.
const maxAdminBody = 4 << 10

// startAdmin serves the endpoint where faults are asked for and ended. It is not part of Rancher's API and takes no key;
// like everything here it listens on loopback only.
func (w *World) startAdmin() error {
	l, err := net.Listen("tcp", w.options.AdminAddr)
	if err != nil {
		return fmt.Errorf("listening for the admin endpoint: %w", err)
	}
	s := newServer(adminHandler(w.rancher))
	s.serve(l, nil)
	w.onClose(func() error {
		err := s.Close()
		s.owned.Wait()
		return err
	})
	w.info.Admin = "http://" + l.Addr().String()
	return nil
}

// startFaults opens the admin endpoint and begins what was asked for at the start.
func (w *World) startFaults(context.Context) error {
	for _, f := range w.options.Faults {
		if _, err := w.rancher.SetFault(f); err != nil {
			return err
		}
	}
	return w.startAdmin()
}

// adminHandler answers:
//
//	GET    /faults        what was asked for, and how often it happened
//	POST   /faults        {"fault": "NAME=ARG=VALUE,…"}, as with --fault
//	DELETE /faults        ends all
//	DELETE /faults/{id}   ends one
//	GET    /faults/kinds  the faults there are and their arguments
func adminHandler(rancher *ranchersim.Server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"faults": rancher.Faults()})
	})
	mux.HandleFunc("GET /faults/kinds", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"kinds": ranchersim.FaultKinds(), "args": ranchersim.FaultArgs()})
	})
	mux.HandleFunc("POST /faults", func(w http.ResponseWriter, r *http.Request) {
		id, err := postFault(rancher, w, r)
		if err != nil {
			answer(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
			return
		}
		answer(w, http.StatusCreated, map[string]any{"id": id})
	})
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) {
		rancher.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /faults/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err == nil {
			err = rancher.ClearFault(id)
		}
		if err != nil {
			answer(w, http.StatusNotFound, map[string]any{"error": "no fault has the number " + strconv.Quote(r.PathValue("id"))})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return onlyFromHere(mux)
}

// postFault reads and begins a fault.
func postFault(rancher *ranchersim.Server, w http.ResponseWriter, r *http.Request) (int, error) {
	var body struct {
		Fault string `json:"fault"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAdminBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil {
		return 0, fmt.Errorf(`reading the body, such as {"fault": "late=delay=2s"}: %w`, err)
	}
	f, err := ranchersim.ParseFault(body.Fault)
	if err != nil {
		return 0, err
	}
	return rancher.SetFault(f)
}

// onlyFromHere keeps web pages out: a browser on this machine would carry their requests to a loopback address.
func onlyFromHere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" || !isLoopbackHost(r.Host) {
			answer(w, http.StatusForbidden, map[string]any{"error": "this endpoint is for programs on this machine, not for web pages"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isLoopbackHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // A client that is gone is no error here.
}

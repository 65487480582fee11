package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
)

// maxTries is how many addresses are tried for a container before giving up: each may be held by another world.
const maxTries = 256

// addresses hands out loopback addresses. No address is given twice in an engine's life, so that a load balancer's
// server name (a hash of the address) never means two containers.
type addresses struct {
	mu   sync.Mutex
	next netip.Addr
}

// newAddresses begins at a place that the seed chooses, so that worlds on one machine seldom meet.
func newAddresses(seed uint64) *addresses {
	h := mix(seed)
	return &addresses{next: netip.AddrFrom4([4]byte{127, byte(h%253) + 1, byte(h >> 8), byte(h>>16)%200 + 1})}
}

// mix spreads a seed over 64 bits (splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// ipBits is an IPv4 address as a number.
func ipBits(ip netip.Addr) uint64 {
	b := ip.As4()
	return uint64(binary.BigEndian.Uint32(b[:]))
}

// claim is an address held for a container, also while nothing listens there: a UDP socket on its port keeps other
// worlds away without answering TCP.
type claim struct {
	ip   netip.Addr
	hold net.PacketConn
}

func (c *claim) release() { _ = c.hold.Close() }

// take holds a free address, the wanted one when it can be had.
func (a *addresses) take(want string, port int) (*claim, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ip, err := netip.ParseAddr(want); err == nil && ip.Is4() && ip.IsLoopback() {
		if c, err := hold(ip, port); err == nil {
			return c, nil
		}
	}
	var errs []error
	for range maxTries {
		c, err := hold(a.step(), port)
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("no free loopback address for port %d: %w", port, errs[len(errs)-1])
}

// step moves to the next address of 127.1.0.0 to 127.254.255.255, leaving out those that end in 0 and 255.
func (a *addresses) step() netip.Addr {
	for {
		ip := a.next
		a.next = ip.Next()
		if a.next.As4()[1] == 255 {
			a.next = netip.AddrFrom4([4]byte{127, 1, 0, 1})
		}
		if last := ip.As4()[3]; last != 0 && last != 255 {
			return ip
		}
	}
}

// hold claims one address if nobody has it.
func hold(ip netip.Addr, port int) (*claim, error) {
	conn, err := net.ListenPacket("udp4", net.JoinHostPort(ip.String(), strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return &claim{ip: ip, hold: conn}, nil
}

// listen opens the container's ports on its address.
func (c *claim) listen(ports []int) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, port := range ports {
		l, err := net.Listen("tcp4", net.JoinHostPort(c.ip.String(), strconv.Itoa(port)))
		if err != nil {
			for _, open := range listeners {
				err = errors.Join(err, open.Close())
			}
			return nil, fmt.Errorf("the port may be in use by a program that listens on all addresses: %w", err)
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

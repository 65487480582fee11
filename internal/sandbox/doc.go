// Package sandbox is a whole small world on loopback addresses: a registry that takes real pushes, a Rancher, containers
// that answer HTTP, and a load balancer with HAProxy's statistics in front of them.
//
// Nothing in it is told to fail. A container behaves as the label io.drover.sandbox of the image says that was really
// pulled from the registry, so a bad version is bad because of what was pushed:
//
//	Engine    pulls images and runs containers, each on an address of its own (it is the simulator's runtime);
//	Balancer  spreads requests over the running containers: the small one here, or the haproxy program;
//	World     starts a registry, Rancher, the service and the load balancer, and offers pushes and traffic.
//
// Every listener is on a loopback address, and anything else is refused.
package sandbox

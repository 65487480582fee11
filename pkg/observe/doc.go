// Package observe says what is seen.
//
// A Snapshot joins the parts of one look at one target: what the registry says
// of the image, what Rancher says of the service and its containers, and the
// readings of the gates. Observers measure and never judge: a probe returns
// "status 502 in 0.3 s", not "unhealthy". Each part carries its own Problem when
// it could not be read, so that one blind eye does not close the others.
package observe

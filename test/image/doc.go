// Package image builds the container image with a real Docker engine and runs it
// the way it is deployed: as its own user, with a read-only root filesystem and
// without capabilities, against `drover sandbox` in another container, with
// versions that docker builds and pushes. deploy/docker-compose.yml is brought up
// by docker compose.
//
// `make test-image` runs it. It is behind the build tag image, because it needs an
// engine and minutes; where none answers it fails, and says that nothing
// was tested. Nothing is mounted from this machine and no port of it is asked for,
// so the engine may be elsewhere. Containers, volumes and images that it made are
// removed in the end, but for the image itself.
package image

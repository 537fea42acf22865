//! The HTTP API of a Tutti controller from the outside: JSON over a unix socket or TCP.

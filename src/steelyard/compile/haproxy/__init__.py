"""The HAProxy part of the compiler, one module a concern; `service` puts the parts of one virtual service together."""

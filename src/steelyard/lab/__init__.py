"""Simulated servers of the deployments Steelyard stands in front of, and a client that signs in through it.

A role (`roles.FrontEnd`, `Director`, `Edge`, `OfficeWebApps`, `Exchange`) is a value: name, addresses, certificate. A
`laboratory.Laboratory` runs any number of them in one thread; each is a `machine.Machine` with a memory of its own,
which is lost when it stops. What such servers do wrong on purpose is what real ones do: a session is in the memory of
one server alone, the internal and the external web site of a Front End are two, a check URL answers 401 or 403. So a
wrong affinity or a wrong port is a sign-in that fails.

Nothing of the appliance is imported here, and only the command line imports this.
"""

"""What the tests of the whole project stand on: origins, clients, load, certificates, and a real Steelyard to drive."""

"""Tests of the whole service. A package, so that the services that its modules share end with it."""

"""Faust as coalmine runs it: polls instead of events, offsets that wait for deliveries, exact tables."""

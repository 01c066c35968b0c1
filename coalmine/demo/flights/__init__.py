"""Real departures of 2013 as requests, their landings as truth; `train` makes the models of the demo."""

from .data import STREAM_START, Departure, Flights, Landing, departures, landings, load

__all__ = ["STREAM_START", "Departure", "Flights", "Landing", "departures", "landings", "load"]

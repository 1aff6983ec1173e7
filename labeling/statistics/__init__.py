"""Numbers about wells, without Django: exact tests for patterns on plates and for classes that lose too much."""

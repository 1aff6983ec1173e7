// A rule in the browser: the numbers it counts with, and what it flags.
"use strict";

// Scores arrive once as ascending float32 followed by the plate of each as uint16; a metric as float32 in the same
// order. Comparing a float32 with a limit gives here what it gives on the server.
cellqc.Counter = class {
  constructor(facts) {
    this.facts = facts;  // as the page gives them: addresses, rule, saved rule
    this.scores = new Float32Array();
    this.plateOf = new Uint16Array();
    this.metrics = new Map();
    this.isReady = false;
  }

  static key = ({ unit, column }) => `${unit},${column}`;

  async load() {
    const conditions = [...this.facts.rule.conditions, ...(this.facts.saved?.conditions ?? [])];
    if (this.facts.axis) conditions.push(this.facts.axis);
    const [buffer] = await Promise.all([this.fetch(this.facts.scores), ...conditions.map((one) => this.loadMetric(one))]);
    const n = buffer.byteLength / 6;
    this.scores = new Float32Array(buffer, 0, n);
    this.plateOf = new Uint16Array(buffer, 4 * n, n);
    this.wasFlagged = this.facts.saved ? this.flaggedBy(this.facts.saved) : null;
    this.isReady = true;
  }

  async fetch(address) {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(answer.statusText);
    return answer.arrayBuffer();
  }

  async loadMetric(condition) {
    const key = cellqc.Counter.key(condition);
    if (this.metrics.has(key)) return;
    this.metrics.set(key, new Float32Array());
    const query = new URLSearchParams({ column: condition.column, unit: condition.unit });
    this.metrics.set(key, new Float32Array(await this.fetch(`${this.facts.metrics}?${query}`)));
  }

  // How many scores lie below the value.
  countBelow(value) {
    let from = 0, to = this.scores.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.scores[middle] < value) from = middle + 1; else to = middle;
    }
    return from;
  }

  // One byte an image: 1 where the rule flags it.
  flaggedBy(rule) {
    const flagged = new Uint8Array(this.scores.length);
    if (rule.how !== "unused") flagged.fill(1, 0, this.countBelow(rule.value));
    for (const condition of rule.conditions) {
      const values = this.metrics.get(cellqc.Counter.key(condition));
      const low = condition.low ?? -Infinity, high = condition.high ?? Infinity;
      for (let i = 0; i < values.length; i++) if (values[i] < low || values[i] > high) flagged[i] = 1;
    }
    return flagged;
  }

  // Flagged in all and by plate, and what changes side against the saved rule.
  count(rule, nPlates) {
    const flagged = this.flaggedBy(rule), was = this.wasFlagged, byPlate = new Uint32Array(nPlates);
    let total = 0, out = 0, back = 0;
    for (let i = 0; i < flagged.length; i++) {
      if (flagged[i]) {
        total++;
        byPlate[this.plateOf[i]]++;
        if (was && !was[i]) out++;
      } else if (was && was[i]) back++;
    }
    return { total, byPlate, out, back };
  }

  // The values on the axis in ascending order, to move by one image.
  ascending(axis) {
    if (!axis) return this.scores;
    this.sorted ??= this.metrics.get(cellqc.Counter.key(axis)).filter((value) => !Number.isNaN(value)).sort();
    return this.sorted;
  }
};

// Values to places on the axis, 0 to 1000, and back; as `services/histograms.py` has it.
cellqc.Scale = class {
  constructor({ low, high, centre, spread }) {
    Object.assign(this, { low, high, centre, spread });
    this.from = this.bent(low);
    this.span = (this.bent(high) - this.from) || 1;
  }

  bent(value) { return this.spread ? Math.asinh((value - this.centre) / this.spread) : value; }

  at(value) { return 1000 * Math.min(Math.max((this.bent(value) - this.from) / this.span, 0), 1); }

  value(place) {
    if (place <= 0) return this.low;
    if (place >= 1000) return this.high;
    const bent = this.from + this.span * place / 1000;
    return this.spread ? this.centre + this.spread * Math.sinh(bent) : bent;
  }
};

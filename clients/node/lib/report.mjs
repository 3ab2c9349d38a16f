// Counts what was checked and prints one JSON line for each suite, which the Rust driver reads.
// A failed check is printed at once on standard error and makes the process exit with 1.

export class Report {
  #counts = new Map();
  #failures = 0;

  constructor(suite) {
    this.suite = suite;
  }

  /** Counts one check under a name; `detail` says what was seen if it does not hold. */
  check(name, holds, detail = "") {
    const count = this.#counts.get(name) ?? { passed: 0, failed: 0 };
    if (holds) {
      count.passed += 1;
    } else {
      count.failed += 1;
      this.#failures += 1;
      // A systematic failure would otherwise bury its first, telling lines.
      if (count.failed <= 3) console.error(`${this.suite}: ${name}: FAILED ${detail}`);
    }
    this.#counts.set(name, count);
    return holds;
  }

  /** Runs a check that throws when it does not hold. */
  async attempt(name, run, detail = "") {
    try {
      await run();
      return this.check(name, true);
    } catch (error) {
      return this.check(name, false, `${error.message} ${detail}`);
    }
  }

  /** Prints the suite's line and answers whether everything held. */
  finish() {
    const checks = Object.fromEntries(this.#counts);
    console.log(JSON.stringify({ suite: this.suite, failed: this.#failures, checks }));
    return this.#failures === 0;
  }
}

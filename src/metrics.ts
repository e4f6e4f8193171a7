/**
 * What /metrics tells. Hot paths count in plain integers of their own; a collector reads those when Prometheus asks.
 * The one import site of prom-client.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

export type LabelValues = Readonly<Record<string, string>>;
/** One figure of a metric: its labels and its value now. */
export type Reading = readonly [labels: LabelValues, value: number];

export interface Metrics {
  /** A figure that only rises, read at scrape time. */
  counter(name: string, help: string, labelNames: readonly string[], read: () => Iterable<Reading>): void;
  /** A figure that goes both ways, read at scrape time. */
  gauge(name: string, help: string, labelNames: readonly string[], read: () => Iterable<Reading>): void;
  /** Returns the function that takes one observation. */
  histogram(
    name: string,
    help: string,
    labelNames: readonly string[],
    buckets: readonly number[],
  ): (labels: LabelValues, value: number) => void;
  /**
   * Adds what Node tells of its process: memory, CPU, the event loop. Once per process, for the daemon: it starts timers of
   * the system's own.
   */
  exposeProcess(): void;
  /** The exposition text and its media type. */
  readonly expose: () => Promise<{ readonly mediaType: string; readonly text: string }>;
}

export function openMetrics(): Metrics {
  const registry = new Registry();
  return {
    counter(name, help, labelNames, read) {
      new Counter({
        name,
        help,
        labelNames: [...labelNames],
        registers: [registry],
        collect() {
          this.reset();
          // Else what has no labels is 0 where nothing can be read.
          if (labelNames.length === 0) this.remove();
          for (const [labels, value] of read()) this.inc(labels, value);
        },
      });
    },
    gauge(name, help, labelNames, read) {
      new Gauge({
        name,
        help,
        labelNames: [...labelNames],
        registers: [registry],
        collect() {
          this.reset();
          for (const [labels, value] of read()) this.set(labels, value);
        },
      });
    },
    histogram(name, help, labelNames, buckets) {
      const histogram = new Histogram({
        name,
        help,
        labelNames: [...labelNames],
        buckets: [...buckets],
        registers: [registry],
      });
      return (labels, value) => histogram.observe(labels, value);
    },
    exposeProcess: () => collectDefaultMetrics({ register: registry, prefix: 'gridcast_' }),
    expose: async () => ({ mediaType: registry.contentType, text: await registry.metrics() }),
  };
}

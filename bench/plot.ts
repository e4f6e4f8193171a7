/** Plots as SVG, drawn without a browser; the one place that knows the library. */
import * as echarts from 'echarts';

const WIDTH = 900;
const HEIGHT = 480;
const GRID = { left: 70, right: 30, top: 80, bottom: 40, containLabel: true };

const titled = (text: string) => ({ text, left: 'center', top: 5 });
const LEGEND = { top: 38, itemGap: 20 };

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}
export interface Axis {
  readonly name: string;
  readonly isLogarithmic?: boolean;
}

function draw(option: echarts.EChartsOption): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT });
  chart.setOption({ animation: false, backgroundColor: '#fff', grid: GRID, ...option });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}

const axis = ({ name, isLogarithmic = false }: Axis) => ({
  ...{ type: isLogarithmic ? ('log' as const) : ('value' as const), name, nameGap: 35 },
  nameLocation: 'middle' as const,
});

export const lines = (title: string, x: Axis, y: Axis, series: readonly Series[]): string =>
  draw({
    title: titled(title),
    legend: LEGEND,
    xAxis: axis(x),
    yAxis: axis(y),
    series: series.map(({ name, points }) => ({ type: 'line', name, data: points.map((point) => [...point]) })),
  });

/** A dot for each name and series: on a logarithmic axis a bar would have no beginning. */
export const dots = (
  title: string,
  value: Axis,
  names: readonly string[],
  series: readonly { readonly name: string; readonly values: readonly number[] }[],
): string =>
  draw({
    title: titled(title),
    legend: LEGEND,
    xAxis: axis(value),
    yAxis: { type: 'category', inverse: true, data: [...names], splitLine: { show: true } },
    series: series.map(({ name, values }) => ({
      ...{ type: 'scatter' as const, name },
      data: values.map((each) => (Number.isFinite(each) && each > 0 ? Number(each.toPrecision(4)) : null)),
    })),
  });

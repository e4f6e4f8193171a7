/** Limits that no test reaches. */
import { Quotas } from '../../src/actors/quotas.js';

export const noQuotas = (): Quotas =>
  new Quotas(
    {
      maxResources: Infinity,
      maxResourcesPerOriginator: 0,
      maxSubscriptions: Infinity,
      maxSubscriptionsPerResource: Infinity,
    },
    () => 0,
  );

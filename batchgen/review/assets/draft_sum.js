/** What drafts and final takes cost together, against making everything at the final size at once. Pure. */

/**
 * @param {{spent: number, made: number, finals: number, price: number}} facts micro-dollars; `spent` on the `made`
 *   clips so far, `finals` new takes at `price` each
 * @returns {{finals: number, together: number, straight: number, worthUpTo: number}} micro-dollars; `worthUpTo`: with
 *   how many final takes drafting still costs no more
 */
export function draftSum({ spent, made, finals, price }) {
  const straight = made * price;
  return {
    finals: finals * price,
    together: spent + finals * price,
    straight,
    worthUpTo: price > 0 ? Math.max(0, Math.floor((straight - spent) / price)) : 0,
  };
}

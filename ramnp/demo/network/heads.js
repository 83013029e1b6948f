// What is read off the state: the answer. See ramnp/network/heads.py.
//
//     log p = log softmax(h_T W_a + b_a)
//
// The second head, the baseline, is needed only in training.

/** Logits (A) over the classes, from h (N). */
class ActionNetwork extends Linear {
  constructor(parameters) {
    super(parameters, "action");
  }
}

"""Judge a challenger: figures with intervals, segments, costs, the gate, and the model card."""

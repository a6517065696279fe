from dbflax.pages import intervals


def test_a_plot_names_every_arm_and_is_escaped():
  svg = intervals.plot(
    [('with', 0.4, (0.3, 0.5)), ('<without> $x$', 0.6, None)]
  )
  assert svg.startswith('<svg')
  assert 'with' in svg and '&lt;without&gt; $x$' in svg
  assert '<without>' not in svg
  assert svg.count('var(--prior)') >= 2

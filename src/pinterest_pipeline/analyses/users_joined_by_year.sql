-- number: 6
-- question: How many users joined in each year?
-- chart: bar
-- A person is one (user_name, age, date_joined): one row each below, with the number of that person's posts.
SELECT YEAR(`date_joined`) AS `join_year`, COUNT(*) AS `users_joined`, SUM(`posts`) AS `posts`
FROM (
  SELECT `user_name`, `age`, `date_joined`, COUNT(*) AS `posts`
  FROM `user`
  WHERE `date_joined` IS NOT NULL
  GROUP BY `user_name`, `age`, `date_joined`
) AS people
GROUP BY YEAR(`date_joined`)
ORDER BY `join_year`

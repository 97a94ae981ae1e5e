-- number: 7
-- question: What is the median follower count of the users who joined in each year?
-- chart: grouped_bar
-- Over posts, and over people with the largest count of each; a person is one (user_name, age, date_joined).
WITH posts AS (
  SELECT
    YEAR(users.`date_joined`) AS `join_year`,
    users.`user_name`,
    users.`age`,
    users.`date_joined`,
    pin.`follower_count`
  FROM `pin` AS pin
  JOIN `user` AS users ON pin.`ind` = users.`ind`
  WHERE pin.`follower_count` IS NOT NULL
),
by_post AS (
  SELECT `join_year`, MEDIAN(`follower_count`) AS `median_follower_count`
  FROM posts
  WHERE `join_year` IS NOT NULL
  GROUP BY `join_year`
),
by_user AS (
  SELECT `join_year`, MEDIAN(`most`) AS `median_follower_count_users`
  FROM (
    SELECT `join_year`, MAX(`follower_count`) AS `most`
    FROM posts
    WHERE `join_year` IS NOT NULL
    GROUP BY `join_year`, `user_name`, `age`, `date_joined`
  ) AS people
  GROUP BY `join_year`
)
SELECT by_post.`join_year`, `median_follower_count`, `median_follower_count_users`
FROM by_post
JOIN by_user ON by_post.`join_year` = by_user.`join_year`
ORDER BY by_post.`join_year`
